//! The fold against a naive count, under replays, crashes and duplicates.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::{
    click::{LogId, Place},
    query::{Dimension, OTHER},
    rollups::{DAY_MS, values::VALUES_MAX},
};

const LINKS: u64 = 4;

/// The `n`th click of a log: everything about it follows from its name, as for a click that is delivered again.
fn click(log: u64, n: u64) -> Click {
    let mut state = log.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ n.wrapping_mul(0xd1b5_4a32_d192_ed03);
    let mut pick = |below: u64| {
        state = (state ^ (state >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        (state >> 33) % below
    };
    let country = ["", "DE", "FR"][pick(3) as usize];
    Click {
        log: LogId(log),
        offset: (n + 1) * 64,
        at_ms: (20_000 + pick(3) as i64) * DAY_MS + pick(DAY_MS as u64) as i64,
        link: pick(LINKS),
        visitor: pick(40),
        bot: pick(5) == 0,
        place: Place { continent: "EU".into(), country: country.into(), region: "".into(), city: "Ulm".into() },
        browser: ["Firefox", "Safari"][pick(2) as usize].into(),
        os: "".into(),
        device: "Desktop".into(),
        referer: format!("site{}.example", pick(30)).into(),
    }
}

/// What a dimension, a day's slots and the totals hold, as plain numbers.
#[derive(Debug, Default, PartialEq, Eq)]
struct Plain {
    slots: BTreeMap<(Subject, i32, u8, bool), u64>,
    values: BTreeMap<(Subject, i32, usize, String, u8, bool), u64>,
    totals: BTreeMap<Subject, (u64, u64, Option<i64>)>,
}

impl Plain {
    fn count(clicks: impl IntoIterator<Item = Click>) -> Plain {
        let mut plain = Plain::default();
        for click in clicks {
            let (day, slot) = (click.at_ms.div_euclid(DAY_MS) as i32, (click.at_ms.rem_euclid(DAY_MS) / 900_000) as u8);
            for subject in [Subject::All, Subject::Link(click.link)] {
                *plain.slots.entry((subject, day, slot, click.bot)).or_default() += 1;
                let place = &click.place;
                let values = [
                    place.continent.to_string(),
                    place.country.to_string(),
                    place.region.to_string(),
                    format!("{}/{}/{}", place.country, place.region, place.city),
                    click.device.to_string(),
                    click.browser.to_string(),
                    click.os.to_string(),
                    click.referer.to_string(),
                    click.link.to_string(),
                ];
                let kept = if subject == Subject::All { 9 } else { 8 };
                for (dimension, value) in values.into_iter().take(kept).enumerate() {
                    *plain.values.entry((subject, day, dimension, value, slot, click.bot)).or_default() += 1;
                }
                let total = plain.totals.entry(subject).or_default();
                if click.bot {
                    total.1 += 1;
                } else {
                    total.0 += 1;
                    total.2 = total.2.max(Some(click.at_ms));
                }
            }
        }
        plain
    }

    fn add(&mut self, rows: &Rows) {
        for (&(subject, day), row) in &rows.days {
            for slot in row.clicks.iter() {
                for (bot, n) in [(false, slot.people), (true, slot.bots)].into_iter().filter(|(_, n)| *n > 0) {
                    *self.slots.entry((subject, day.0, slot.index, bot)).or_default() += n;
                }
            }
            for dimension in Dimension::ALL {
                for (value, slots) in row.values(dimension) {
                    for slot in slots.iter() {
                        for (bot, n) in [(false, slot.people), (true, slot.bots)].into_iter().filter(|(_, n)| *n > 0) {
                            let key = (subject, day.0, dimension as usize, value.to_string(), slot.index, bot);
                            *self.values.entry(key).or_default() += n;
                        }
                    }
                }
            }
        }
        for (&subject, row) in &rows.totals {
            let total = self.totals.entry(subject).or_default();
            *total = (total.0 + row.clicks, total.1 + row.bots, total.2.max(row.last_ms));
        }
    }
}

fn plain(rows: &Rows) -> Plain {
    let mut plain = Plain::default();
    plain.add(rows);
    plain
}

/// An interleaving of logs: which log the next click is from.
fn interleaving() -> impl Strategy<Value = Vec<u64>> {
    prop::collection::vec(0..3_u64, 1..120)
}

fn clicks_of(interleaving: &[u64]) -> Vec<Click> {
    let mut next = BTreeMap::<u64, u64>::new();
    let appended = interleaving.iter().map(|&log| {
        let n = next.entry(log).or_default();
        *n += 1;
        click(log, *n - 1)
    });
    appended.collect()
}

/// The rows of `rows` among those in `durable`, which a crash left behind.
fn survivors(rows: &Rows, mut durable: impl FnMut() -> bool, older: &Rows) -> Rows {
    let mut left = older.clone();
    for (key, row) in rows.days.iter().collect::<BTreeMap<_, _>>() {
        if durable() {
            left.days.insert(*key, row.clone());
        }
    }
    for (key, row) in rows.totals.iter().collect::<BTreeMap<_, _>>() {
        if durable() {
            left.totals.insert(*key, *row);
        }
    }
    left
}

proptest! {
    // Seen to fail when a bot's click is counted as a person's, and when the slot is taken from the end of the day.
    #[test]
    fn equals_a_naive_count(order in interleaving()) {
        let clicks = clicks_of(&order);
        let (mut progress, mut rows) = (Progress::default(), Rows::default());
        for (n, click) in clicks.iter().enumerate() {
            let folded = fold(&mut progress, &mut rows, &Sequenced { sequence: 3 * n as u64 + 1, click: click.clone() });
            prop_assert_eq!(folded, Folded::Counted { capped: 0 });
        }
        let people = |subject| clicks.iter().filter(move |c| !c.bot && (subject == Subject::All || subject == Subject::Link(c.link)));
        for (&(subject, day), row) in &rows.days {
            let visitors: BTreeSet<_> = people(subject).filter(|c| Day::of(c.at_ms) == day).map(|c| c.visitor).collect();
            let mut union = crate::rollups::visitors::VisitorUnion::default();
            union.add(&row.visitors);
            prop_assert_eq!(union.count(), visitors.len() as u64);
        }
        prop_assert_eq!(plain(&rows), Plain::count(clicks));
    }

    // The embedded stream: rows and progress are committed together, the replay merges the logs anew under other
    // sequence numbers. Seen to fail without the offsets of the logs.
    #[test]
    fn a_suffix_replayed_in_another_order_counts_once(
        order in interleaving(), again in prop::collection::vec(any::<prop::sample::Index>(), 0..4), seed in any::<u64>(),
    ) {
        let clicks = clicks_of(&order);
        let (mut progress, mut rows) = (Progress::default(), Rows::default());
        let mut done = 0;
        for stop in again.iter().map(|at| at.index(clicks.len())).chain([clicks.len()]) {
            for click in &clicks[done.min(stop)..stop] {
                let sequence = progress.watermark + 1;
                fold(&mut progress, &mut rows, &Sequenced { sequence, click: click.clone() });
            }
            done = done.max(stop);
            // A crash after the commit and before the release: each log comes again from some earlier click on.
            let mut replay: Vec<_> = (0..3).map(|log| {
                let of_log: Vec<_> = clicks[..done].iter().filter(|c| c.log == LogId(log)).collect();
                let from = if of_log.is_empty() { 0 } else { (seed >> log) as usize % (of_log.len() + 1) };
                of_log[from..].to_vec()
            }).collect();
            while let Some(log) = replay.iter().position(|left| !left.is_empty()) {
                let click = replay[log].remove(0).clone();
                let sequence = progress.watermark + 1;
                prop_assert_eq!(fold(&mut progress, &mut rows, &Sequenced { sequence, click }), Folded::Duplicate);
                replay.rotate_left(1);
            }
        }
        prop_assert_eq!(plain(&rows), Plain::count(clicks));
    }

    // A partition: duplicates stand in it for ever, sequence numbers are stable, and a crash leaves any of the rows durable
    // and the progress where it was. Seen to fail without the watermarks of days, without those of totals, and
    // without the offsets of the logs.
    #[test]
    fn a_crash_that_left_any_of_the_rows_counts_once(
        order in interleaving(),
        repeats in prop::collection::vec((any::<prop::sample::Index>(), 1..10_usize), 0..4),
        crashes in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<u64>()), 0..6),
    ) {
        let clicks = clicks_of(&order);
        let mut partition = clicks.clone();
        for (at, back) in repeats {
            // The forwarder starts again: for every log, a suffix of what it had sent comes once more.
            let at = at.index(partition.len()) + 1;
            let mut resent: Vec<Click> = Vec::new();
            for log in 0..3 {
                let mut of_log: Vec<_> = partition[..at].iter().filter(|c| c.log == LogId(log)).cloned().collect();
                of_log.sort_by_key(|c| c.offset);
                of_log.dedup();
                resent.extend(of_log.into_iter().rev().take(back).rev());
            }
            partition.splice(at..at, resent);
        }
        let at = |sequence: usize| Sequenced { sequence: sequence as u64 + 1, click: partition[sequence].clone() };

        let (mut durable_progress, mut durable) = (Progress::default(), Rows::default());
        for (committed, reached, mut which) in crashes {
            let (mut progress, mut rows) = (durable_progress.clone(), durable.clone());
            let reached = reached.index(partition.len() + 1);
            let committed = committed.index(partition.len() + 1).min(reached);
            for sequence in durable_progress.watermark as usize..reached {
                fold(&mut progress, &mut rows, &at(sequence));
                if sequence + 1 == committed {
                    (durable_progress, durable) = (progress.clone(), rows.clone());
                }
            }
            durable = survivors(&rows, || { which = which.rotate_left(1); which & 1 == 1 }, &durable);
        }
        for sequence in 0..partition.len() {
            fold(&mut durable_progress, &mut durable, &at(sequence));
        }
        prop_assert_eq!(plain(&durable), Plain::count(clicks.clone()));

        // What it holds is what a fold without a crash holds: a late writer cannot write anything else.
        let (mut progress, mut rows) = (Progress::default(), Rows::default());
        for sequence in 0..partition.len() {
            fold(&mut progress, &mut rows, &at(sequence));
        }
        prop_assert_eq!(progress, durable_progress);
        prop_assert_eq!(rows, durable);
    }

    // Seen to fail when the sources share their rows.
    #[test]
    fn sources_add_up(order in interleaving(), sources in prop::collection::vec(0..4_usize, 120)) {
        let clicks = clicks_of(&order);
        let mut states: Vec<(Progress, Rows)> = vec![Default::default(); 4];
        for (click, &source) in clicks.iter().zip(&sources) {
            // Every source sees some clicks of each log, in the log's order, with gaps.
            let (progress, rows) = &mut states[source];
            let sequence = progress.watermark + 1;
            fold(progress, rows, &Sequenced { sequence, click: click.clone() });
        }
        let mut sum = Plain::default();
        states.iter().for_each(|(_, rows)| sum.add(rows));
        prop_assert_eq!(sum, Plain::count(clicks));
    }
}

// Seen to fail when a capped click is dropped.
#[test]
fn values_beyond_the_cap_are_counted_as_other_and_said_so() {
    let (mut progress, mut rows) = (Progress::default(), Rows::default());
    let mut capped = 0;
    for n in 0..VALUES_MAX as u64 + 7 {
        let click = Click { link: 1, at_ms: 0, bot: false, referer: format!("{n}.example").into(), ..click(1, n) };
        match fold(&mut progress, &mut rows, &Sequenced { sequence: n + 1, click }) {
            Folded::Counted { capped: more } => capped += more,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(capped, 14, "7 in the link's row and 7 in that of all links");
    let row = &rows.days[&(Subject::Link(1), Day(0))];
    let values = row.values(Dimension::Referer);
    let other: u64 = values.iter().filter(|(value, _)| &**value == OTHER).map(|(_, slots)| slots.clicks()).sum();
    assert_eq!(other, 7);
}
