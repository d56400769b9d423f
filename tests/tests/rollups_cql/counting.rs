//! One source being counted, step by step; and what must have come of it.

use std::sync::Arc;

use analytics::{
    click::{Click, LogId, Place},
    fold::{Rows, fold, touched},
    rollups::{Changes, DAY_MS, Day, DayRow, Rollups, RollupsError, SLOT_MS, Subject, cql::CqlRollups},
    stream::{Progress, Sequenced, Source},
};

pub const FIRST_DAY: i64 = 20_000;

/// Clicks from three logs on two links in two days, one day of which only bots come to one of them.
pub fn clicks(count: u64) -> Vec<Sequenced> {
    let click = |sequence: u64| Click {
        log: LogId(sequence % 3),
        offset: sequence * 32,
        at_ms: (FIRST_DAY + sequence as i64 / 3 % 2) * DAY_MS + sequence as i64 % 90 * SLOT_MS,
        link: sequence % 2,
        visitor: (sequence % 11).wrapping_mul(0x9e37_79b9_7f4a_7c15),
        bot: sequence.is_multiple_of(5) || sequence.is_multiple_of(2) && (sequence / 3).is_multiple_of(2),
        place: Place { country: if sequence.is_multiple_of(3) { "DE" } else { "FR" }.into(), ..Place::default() },
        browser: "Firefox".into(),
        os: "".into(),
        device: "Desktop".into(),
        referer: format!("{}.example", sequence % 7).into(),
    };
    (1..=count).map(|sequence| Sequenced { sequence, click: click(sequence) }).collect()
}

/// A consumer whose commits a test takes in hand.
pub struct Counting {
    pub store: Arc<CqlRollups>,
    pub source: Source,
    pub progress: Progress,
    rows: Rows,
}

impl Counting {
    /// Begins where the store is, with nothing in memory.
    pub async fn begin(store: &Arc<CqlRollups>, source: &Source) -> Self {
        let progress = store.progress(source).await.expect("the progress");
        Counting { store: Arc::clone(store), source: source.clone(), progress, rows: Rows::default() }
    }

    /// Counts what it has not counted yet, up to a sequence number.
    pub async fn count(&mut self, clicks: &[Sequenced], through: u64) {
        for sequenced in clicks.iter().filter(|click| click.sequence <= through) {
            for key in touched(&sequenced.click) {
                if !self.rows.days.contains_key(&key) {
                    let row = self.store.days(&self.source, &[key]).await.expect("a row").remove(0);
                    self.rows.days.insert(key, row);
                }
                if !self.rows.totals.contains_key(&key.0) {
                    let row = self.store.source_totals(&self.source, &[key.0]).await.expect("a row").remove(0);
                    self.rows.totals.insert(key.0, row);
                }
            }
            fold(&mut self.progress, &mut self.rows, sequenced);
        }
    }

    /// A row that it has touched.
    pub fn day(&self, subject: Subject, day: Day) -> &DayRow {
        &self.rows.days[&(subject, day)]
    }

    /// One attempt to write everything.
    pub async fn commit(&mut self) -> Result<(), RollupsError> {
        self.store.commit(&self.source, &changes(&self.rows), &self.progress).await?;
        self.rows.days.values_mut().for_each(|row| row.set_written());
        Ok(())
    }
}

/// Everything, as it is to be written.
pub fn changes(rows: &Rows) -> Changes {
    Changes {
        days: rows.days.iter().map(|((subject, day), row)| (*subject, *day, row.clone())).collect(),
        totals: rows.totals.iter().map(|(subject, row)| (*subject, *row)).collect(),
    }
}

/// The store has counted these clicks of the source, each once, and nothing else.
pub async fn assert_exact(store: &CqlRollups, source: &Source, clicks: &[Sequenced], case: &str) {
    let (mut progress, mut rows) = (Progress::default(), Rows::default());
    for click in clicks {
        fold(&mut progress, &mut rows, click);
    }
    assert_eq!(store.progress(source).await.expect("the progress"), progress, "{case}");
    let expected = changes(&rows);
    let keys: Vec<_> = expected.days.iter().map(|(subject, day, _)| (*subject, *day)).collect();
    let held = store.days(source, &keys).await.expect("days");
    for ((subject, day, row), held) in expected.days.iter().zip(held) {
        assert_eq!(held, *row, "{subject:?} on {day:?}: {case}");
    }
    let subjects: Vec<_> = expected.totals.iter().map(|(subject, _)| *subject).collect();
    let held = store.source_totals(source, &subjects).await.expect("totals");
    assert_eq!(held, expected.totals.iter().map(|(_, row)| *row).collect::<Vec<_>>(), "{case}");
}
