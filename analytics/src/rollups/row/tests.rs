//! The sum of a day, against its quarter-hours.

use super::*;
use crate::{
    click::{LogId, Place},
    rollups::{DAY_MS, SLOT_MS, slots::SLOTS_PER_DAY},
};

/// More links and referrers than are kept, a few of the links often, in every quarter-hour, by people and bots.
fn click(n: u64) -> Click {
    Click {
        log: LogId(1),
        offset: n,
        at_ms: 20_000 * DAY_MS + (n % u64::from(SLOTS_PER_DAY)) as i64 * SLOT_MS,
        link: if n.is_multiple_of(2) { n % 100 } else { n * n % 9_973 },
        visitor: n.wrapping_mul(0x9e37_79b9_7f4a_7c15),
        bot: n.is_multiple_of(5),
        place: Place { country: if n.is_multiple_of(3) { "DE" } else { "FR" }.into(), ..Place::default() },
        browser: "Firefox".into(),
        os: "".into(),
        device: "Desktop".into(),
        referer: format!("{}.example", n % 1_499).into(),
    }
}

fn count(row: &mut DayRow, clicks: std::ops::Range<u64>) {
    for n in clicks {
        row.add(Subject::All, &Grouped::new(&click(n)));
        row.watermark = n;
    }
}

/// What is left of it once its quarter-hours have ended.
fn ended(row: &DayRow) -> DayRow {
    let mut read = DayRow::at(row.watermark);
    for part in Part::ALL {
        read.decode(part, &row.encode_daily(part)).unwrap();
    }
    read
}

/// Clicks, people apart from bots, of everything that has some.
fn sums(row: &DayRow) -> Vec<(Text, u64, u64)> {
    let values = Dimension::ALL.into_iter().flat_map(|dimension| row.values(dimension));
    let all = values.chain([(Text::from("all"), &row.clicks)]);
    let sum = |slots: &Slots| slots.iter().fold((0, 0), |sum, slot| (sum.0 + slot.people, sum.1 + slot.bots));
    all.map(|(value, slots)| (value, sum(slots).0, sum(slots).1)).collect()
}

/// Seen to fail when bots were left out of a sum, when the others of the links were, and when values came in another order.
#[test]
fn a_day_has_as_many_clicks_as_its_quarter_hours() {
    let mut row = DayRow::default();
    count(&mut row, 0..20_000);
    let daily = ended(&row);
    assert_eq!(sums(&daily), sums(&row));
    assert_eq!((daily.watermark, &daily.visitors), (row.watermark, &row.visitors));
    let slots = Dimension::ALL.into_iter().flat_map(|dimension| daily.values(dimension)).map(|(_, slots)| slots);
    assert!(slots.chain([&daily.clicks]).all(|slots| slots.iter().map(|slot| slot.index).eq([0])), "at its beginning");
    assert!(DayRow::default().encode_daily(Part::Clicks).is_empty(), "nothing is written of nothing");
    let bytes = |row: &DayRow, part| row.encode(part).len();
    assert!(Part::ALL.into_iter().all(|part| bytes(&daily, part) <= bytes(&row, part)), "it is the smaller one");
}

/// Which values and links go to the others must not hang on when the quarter-hours ended.
///
/// Seen to fail when values came in another order.
#[test]
fn counting_goes_on_from_the_sum_of_the_day_as_from_its_quarter_hours() {
    let mut whole = DayRow::default();
    count(&mut whole, 0..12_000);
    let mut late = ended(&whole);
    count(&mut whole, 12_000..30_000);
    count(&mut late, 12_000..30_000);
    assert_eq!(ended(&late), ended(&whole));
    let places = |row: &DayRow| row.clicks.iter().map(|slot| slot.index).collect::<Vec<_>>();
    assert_eq!(places(&late), places(&whole), "late clicks have their quarter-hours");
    assert_eq!(late.clicks.iter().next().unwrap().index, 0);
}
