//! The suite of the seam "rollups".

use std::{collections::BTreeMap, ops::RangeInclusive, sync::Arc};

use async_trait::async_trait;

use crate::{
    click::{Click, LogId, Place},
    fold::{Rows, fold},
    query::{Dimension, Totals},
    rollups::{Changes, DAY_MS, Day, DayRow, Part, Rollups, RollupsError, SLOT_MS, Subject, Wanted, slots::Slots},
    stream::{Progress, Sequenced, Source},
};

/// Makes stores for the suite.
#[async_trait]
pub trait Harness: Send + Sync {
    /// A store without a row, of which no other call's clicks are seen.
    async fn empty(&mut self) -> Arc<dyn Rollups>;

    /// The store that [`empty`](Harness::empty) made last, opened once more: as another process would find it after
    /// this one was killed.
    async fn reopened(&mut self) -> Arc<dyn Rollups>;
}

/// Runs every check.
pub async fn suite(harness: &mut impl Harness) {
    what_never_was_reads_as_the_default(&*harness.empty().await).await;
    rows_come_back_as_they_were(&*harness.empty().await).await;
    many_rows_in_one_commit(&*harness.empty().await).await;
    what_was_committed_is_there_after_reopening(harness).await;
    a_late_writer_changes_nothing(&*harness.empty().await).await;
    the_same_commit_twice_is_one(&*harness.empty().await).await;
    logs_that_are_gone_are_deleted(&*harness.empty().await).await;
    sources_are_apart_and_add_up(&*harness.empty().await).await;
    reads_keep_to_subject_and_days(&*harness.empty().await).await;
    what_is_wanted_is_read(&*harness.empty().await).await;
    a_closed_store_refuses_and_keeps(harness).await;
}

/// Around the days on which most checks have clicks.
const THOSE_DAYS: RangeInclusive<Day> = Day(19_980)..=Day(20_020);

/// A source being folded, without a consumer.
struct Folding {
    source: Source,
    progress: Progress,
    rows: Rows,
}

impl Folding {
    fn new(source: &str) -> Folding {
        Folding { source: Source(source.to_owned()), progress: Progress::default(), rows: Rows::default() }
    }

    /// Folds a click on a link in a slot of a day, the next of log 1.
    fn click(&mut self, link: u64, day: i32, slot: u8) {
        let sequence = self.progress.watermark + 1;
        let click = Click {
            log: LogId(1),
            offset: sequence * 32,
            at_ms: i64::from(day) * DAY_MS + i64::from(slot) * SLOT_MS + 1,
            link,
            visitor: sequence.wrapping_mul(0x9e37_79b9_7f4a_7c15),
            bot: sequence.is_multiple_of(5),
            place: Place {
                continent: "EU".into(),
                country: "DE".into(),
                region: "DE-BE".into(),
                city: "Köpenick".into(),
            },
            browser: format!("Browser {}", sequence % 30).into(),
            os: "".into(),
            device: "Desktop".into(),
            referer: format!("{sequence}.example").into(),
        };
        fold(&mut self.progress, &mut self.rows, &Sequenced { sequence, click });
    }

    fn changes(&self) -> Changes {
        Changes {
            days: self.rows.days.iter().map(|((subject, day), row)| (*subject, *day, row.clone())).collect(),
            totals: self.rows.totals.iter().map(|(subject, row)| (*subject, *row)).collect(),
        }
    }

    async fn commit(&self, store: &dyn Rollups) {
        store.commit(&self.source, &self.changes(), &self.progress).await.expect("a commit");
    }

    /// The store holds of this source exactly what was folded.
    async fn is_held_by(&self, store: &dyn Rollups) {
        assert_eq!(store.progress(&self.source).await.expect("the progress"), self.progress);
        let changes = self.changes();
        let keys: Vec<_> = changes.days.iter().map(|(subject, day, _)| (*subject, *day)).collect();
        let rows = store.days(&self.source, &keys).await.expect("days");
        assert_eq!(rows, changes.days.iter().map(|(_, _, row)| row.clone()).collect::<Vec<_>>());
        let subjects: Vec<_> = changes.totals.iter().map(|(subject, _)| *subject).collect();
        let totals = store.source_totals(&self.source, &subjects).await.expect("totals");
        assert_eq!(totals, changes.totals.iter().map(|(_, row)| *row).collect::<Vec<_>>());
    }
}

async fn people_on(store: &dyn Rollups, subject: Subject) -> u64 {
    let rows = store.read(subject, THOSE_DAYS, Part::Clicks.into()).await.expect("a read");
    rows.iter().flat_map(|(_, row)| row.clicks.iter()).map(|slot| slot.people).sum()
}

async fn what_never_was_reads_as_the_default(store: &dyn Rollups) {
    let source = Source("nowhere".to_owned());
    assert_eq!(store.progress(&source).await.expect("the progress"), Progress::default());
    let keys = [(Subject::All, Day(1)), (Subject::Link(7), Day(2))];
    assert_eq!(store.days(&source, &keys).await.expect("days"), vec![Default::default(); 2]);
    assert_eq!(store.source_totals(&source, &[Subject::Link(7)]).await.expect("totals"), vec![Default::default()]);
    assert_eq!(store.days(&source, &[]).await.expect("no days"), vec![]);
    assert!(store.read(Subject::All, THOSE_DAYS, Part::Clicks.into()).await.expect("a read").is_empty());
    assert_eq!(store.totals(&[Subject::Link(7), Subject::All]).await.expect("totals"), vec![Totals::default(); 2]);
    assert_eq!(store.first_day(Subject::All).await.expect("the first day"), None);
    store.commit(&source, &Changes::default(), &Progress::default()).await.expect("a commit of nothing");
}

async fn rows_come_back_as_they_were(store: &dyn Rollups) {
    let mut folding = Folding::new("local");
    for n in 0..40 {
        folding.click(62_u64.pow(7) - 1 - n % 3, 20_000 + (n % 2) as i32, (n % 96) as u8);
    }
    folding.commit(store).await;
    folding.is_held_by(store).await;
    // Adding to what was read leads to what adding to what stayed in memory does.
    let keys: Vec<_> = folding.rows.days.keys().copied().collect();
    let read = store.days(&folding.source, &keys).await.expect("days");
    let mut again = Folding { rows: Rows::default(), ..Folding::new("local") };
    again.progress = folding.progress.clone();
    again.rows.days = keys.into_iter().zip(read).collect();
    again.rows.totals = folding.rows.totals.clone();
    for folding in [&mut folding, &mut again] {
        (0..2_000).for_each(|n| folding.click(62_u64.pow(7) - 1, 20_000, (n % 96) as u8));
    }
    assert_eq!(again.rows, folding.rows);
    folding.commit(store).await;
    folding.is_held_by(store).await;
}

/// More rows than any store writes by one statement.
async fn many_rows_in_one_commit(store: &dyn Rollups) {
    let mut folding = Folding::new("local");
    (0..1_000).for_each(|link| folding.click(link, 20_000, 5));
    folding.commit(store).await;
    folding.is_held_by(store).await;
    let subjects: Vec<_> = (0..1_000).rev().map(Subject::Link).collect();
    let totals = store.totals(&subjects).await.expect("totals");
    assert!(totals.iter().all(|total| total.clicks + total.bots == 1), "in the order asked for, each once");
    assert_eq!(totals[999].clicks, 1, "link 0 had the first click, a person's");
    assert_eq!(totals[995].bots, 1, "link 4 had the fifth click, a bot's");
}

async fn what_was_committed_is_there_after_reopening(harness: &mut impl Harness) {
    let store = harness.empty().await;
    let mut folding = Folding::new("local");
    (0..20).for_each(|n| folding.click(n % 4, 20_000, 5));
    folding.commit(&*store).await;
    let reopened = harness.reopened().await;
    folding.is_held_by(&*reopened).await;
}

async fn a_closed_store_refuses_and_keeps(harness: &mut impl Harness) {
    let store = harness.empty().await;
    let mut folding = Folding::new("local");
    (0..20).for_each(|n| folding.click(n % 4, 20_000, 5));
    folding.commit(&*store).await;
    store.close().await;
    store.close().await;
    let refused = [
        store.progress(&folding.source).await.map(|_| ()),
        store.commit(&folding.source, &folding.changes(), &folding.progress).await,
        store.totals(&[Subject::All]).await.map(|_| ()),
    ];
    assert!(refused.iter().all(|answer| matches!(answer, Err(RollupsError::Unavailable(_)))), "{refused:?}");
    folding.is_held_by(&*harness.reopened().await).await;
}

/// A write below the stored watermark changes nothing, row by row; one above it does.
async fn a_late_writer_changes_nothing(store: &dyn Rollups) {
    let mut folding = Folding::new("local");
    (0..10).for_each(|_| folding.click(1, 20_000, 5));
    folding.click(2, 20_000, 5);
    let (late, late_progress) = (folding.changes(), folding.progress.clone());
    (0..10).for_each(|_| folding.click(1, 20_000, 6));
    folding.commit(store).await;
    store.commit(&folding.source, &late, &late_progress).await.expect("a late commit is no error");
    folding.is_held_by(store).await;
    folding.click(2, 20_001, 0);
    folding.commit(store).await;
    folding.is_held_by(store).await;
}

async fn the_same_commit_twice_is_one(store: &dyn Rollups) {
    let mut folding = Folding::new("local");
    (0..10).for_each(|n| folding.click(n % 2, 20_000, 5));
    folding.commit(store).await;
    folding.commit(store).await;
    folding.is_held_by(store).await;
    assert_eq!(people_on(store, Subject::All).await, 8);
}

async fn logs_that_are_gone_are_deleted(store: &dyn Rollups) {
    let mut folding = Folding::new("local");
    folding.click(1, 20_000, 5);
    folding.progress.logs.insert(LogId(u64::MAX), 77);
    folding.progress.logs.insert(LogId(2), 78);
    folding.commit(store).await;
    let mut other = Folding::new("other");
    other.progress.logs.insert(LogId(2), 79);
    other.commit(store).await;
    folding.is_held_by(store).await;
    // Without a new click: the watermark is the same.
    folding.progress.logs.remove(&LogId(2));
    folding.commit(store).await;
    folding.is_held_by(store).await;
    other.is_held_by(store).await;
}

async fn sources_are_apart_and_add_up(store: &dyn Rollups) {
    let (mut one, mut two) = (Folding::new("topic/0"), Folding::new("topic/1"));
    (0..4).for_each(|_| one.click(1, 20_000, 5));
    (0..3).for_each(|_| two.click(1, 20_000, 5));
    two.click(1, 19_999, 5);
    one.commit(store).await;
    two.commit(store).await;
    one.is_held_by(store).await;
    two.is_held_by(store).await;
    assert_eq!(people_on(store, Subject::Link(1)).await, 8);
    let last_ms = 20_000 * DAY_MS + 5 * SLOT_MS + 1;
    let expected = Totals { clicks: 8, bots: 0, last_ms: Some(last_ms) };
    assert_eq!(store.totals(&[Subject::Link(1), Subject::All]).await.expect("totals"), vec![expected; 2]);
    assert_eq!(store.first_day(Subject::Link(1)).await.expect("the first day"), Some(Day(19_999)));
}

async fn reads_keep_to_subject_and_days(store: &dyn Rollups) {
    const EVERY_DAY: RangeInclusive<Day> = Day(-40)..=Day(40);
    let mut folding = Folding::new("local");
    for day in [-3, 0, 10, 11, 12] {
        folding.click(1, day, 0);
        folding.click(2, day, 95);
    }
    folding.commit(store).await;
    let days = |rows: Vec<(Day, _)>| {
        let mut days: Vec<_> = rows.into_iter().map(|(day, _)| day.0).collect();
        days.sort_unstable();
        days
    };
    let read = |range| store.read(Subject::Link(1), range, Part::Clicks.into());
    assert_eq!(days(read(Day(10)..=Day(11)).await.expect("a read")), [10, 11]);
    assert_eq!(days(read(EVERY_DAY).await.expect("a read")), [-3, 0, 10, 11, 12]);
    assert_eq!(days(read(Day(1)..=Day(9)).await.expect("a read")), [0; 0]);
    assert_eq!(store.first_day(Subject::Link(2)).await.expect("the first day"), Some(Day(-3)));
    for part in Part::ALL {
        for subject in [Subject::All, Subject::Link(2)] {
            for (day, row) in store.read(subject, EVERY_DAY, part.into()).await.expect("a read") {
                let folded = &folding.rows.days[&(subject, day)];
                assert_eq!(row.encode(part), folded.encode(part), "{part:?} of {subject:?}");
                let absent = subject != Subject::All && part == Part::Values(Dimension::Link);
                assert_eq!(row.encode(part).is_empty(), absent || row_is_of_a_bot(folded, part));
            }
        }
    }
}

/// Of a row with few quarter-hours, of one with many, and of one that had few when it was written before.
///
/// Seen to fail when sums were read for quarter-hours, and when a sum was written only while quarter-hours were few.
async fn what_is_wanted_is_read(store: &dyn Rollups) {
    let mut folding = Folding::new("local");
    for turn in 0..3 {
        for slot in (0..96).step_by(if turn == 1 { 1 } else { 48 }) {
            folding.click(1, 20_000, slot);
            folding.click(2, 20_000, 1);
        }
        folding.click(3, 20_000 + turn, 5);
        folding.commit(store).await;
        folding.is_held_by(store).await;
        for subject in [Subject::All, Subject::Link(1), Subject::Link(2), Subject::Link(3)] {
            for (day, row) in store.read(subject, THOSE_DAYS, Wanted::ClicksAndVisitors).await.expect("a read") {
                let folded = &folding.rows.days[&(subject, day)];
                assert_eq!((&row.clicks, &row.visitors), (&folded.clicks, &folded.visitors));
            }
            for dimension in Dimension::ALL {
                let wanted = Wanted::WholeDays(dimension);
                let rows = store.read(subject, THOSE_DAYS, wanted).await.expect("a read");
                assert_eq!(rows.len(), folding.rows.days.keys().filter(|(of, _)| *of == subject).count());
                for (day, row) in rows {
                    let folded = &folding.rows.days[&(subject, day)];
                    assert_eq!(
                        sums(&row, dimension),
                        sums(folded, dimension),
                        "{dimension:?} of {subject:?} on {day:?}"
                    );
                }
            }
        }
    }
}

/// People's and bots' clicks on each value.
fn sums(row: &DayRow, dimension: Dimension) -> BTreeMap<String, (u64, u64)> {
    let sum =
        |slots: &Slots| slots.iter().fold((0, 0), |(people, bots), slot| (people + slot.people, bots + slot.bots));
    row.values(dimension).into_iter().map(|(value, slots)| (value.to_string(), sum(slots))).collect()
}

/// Bots are no visitors.
fn row_is_of_a_bot(row: &DayRow, part: Part) -> bool {
    part == Part::Visitors && row.clicks.iter().all(|slot| slot.people == 0)
}
