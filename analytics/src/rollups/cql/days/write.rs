//! How a day's row is written.
//!
//! A write holds the parts that [are unwritten](DayRow::is_unwritten), and always the watermark, of which its [timestamp](timestamp) is made; a
//! replica has all of it or nothing. A part stays out if a quorum has had it since it changed last, or if it is empty, as it then was at every
//! lower watermark too. So whoever reads a watermark from a quorum finds each part as it was at that watermark, whichever
//! consumers wrote the two. Columns that stay out are unset: a written null would be a tombstone.
//!
//! A part that has quarter-hours is written twice, as it is and as the [sum of the day](DayRow::encode_daily), the two always together: whole days are read
//! by their sums. Where its quarter-hours are few, they stand in the place of the sum, and an empty blob in theirs, unless they end before.
//!
//! What ends at another time takes a statement of its own; all of them are one write, of one row. The watermark ends with the sums: it tells
//! what they have counted. Where only visitors are left, counting may begin anew, as who is added to them twice is in them once.

use std::sync::Arc;

use metrics::{Counter, counter, describe_counter};
use scylla::{
    serialize::value::SerializeValue,
    statement::batch::Batch,
    value::MaybeUnset::{self, Set, Unset},
};

use super::{
    bucket,
    columns::{self, WATERMARK},
};
use crate::{
    cql::{Cql, CqlError, Kind, Statement},
    query::Dimension,
    rollups::{
        Day, DayRow, Part, RollupsError, Subject,
        cql::retention::Ttls,
        slots::SLOTS_PER_DAY,
        stored::{column, number, subject_number},
        top_links::LINKS_MAX,
        values::{VALUE_BYTES_MAX, VALUES_MAX},
    },
    stream::Source,
};

/// The most that a node takes as one write, by default: half a segment of Cassandra's commit log. ScyllaDB takes twice that.
const WRITE_BYTES_MAX: usize = 16 << 20;

/// A quarter-hour: its number, and people and bots, less than 2^28 of each, 7 bits to a byte.
const SLOT_BYTES_MAX: usize = 1 + 4 + 4;

/// All quarter-hours of a value.
const SLOTS_BYTES_MAX: usize = 1 + SLOTS_PER_DAY as usize * SLOT_BYTES_MAX;

/// The id of a link and its weight, less than 2^42 of each, 7 bits to a byte.
const LINK_BYTES_MAX: usize = 6 + 6;

/// The sum of a day, 96 times as much.
const DAILY_BYTES_MAX: usize = 1 + 1 + 5 + 5;

/// Values of all dimensions that have some, and `(other)` of each.
const ALL_VALUES_MAX: usize = (Dimension::ALL.len() - 1) * (VALUES_MAX + 1);

/// A row with as many values of each dimension as are kept and `(other)`, each as long as may be and clicked in every quarter-hour, with its
/// sums of the day.
const ROW_BYTES_MAX: usize = ALL_VALUES_MAX * (2 * (2 + VALUE_BYTES_MAX) + SLOTS_BYTES_MAX + DAILY_BYTES_MAX)
    + (LINKS_MAX + 1) * (2 * LINK_BYTES_MAX + SLOTS_BYTES_MAX + DAILY_BYTES_MAX)
    // Clicks, visitors, the key, and what nodes put around it all.
    + (64 << 10);

// No row is too large to be written: it would take 300,000 clicks a second from one source on every single value.
const _: () = assert!(ROW_BYTES_MAX < WRITE_BYTES_MAX);

/// A part of a day that takes no more bytes than this, with its quarter-hours, is written once: ninety such days are read in no time.
const SMALL_BYTES_MAX: usize = 256;

const BYTES_WRITTEN: &str = "septet_rollups_day_bytes_written_total";

/// Writes rows.
pub(super) struct Writer {
    cql: Arc<Cql>,
    /// One for each statement.
    groups: Vec<Group>,
    /// Whether quarter-hours end before their days.
    detail_ends: bool,
    how: How,
    bytes_written: Counter,
}

enum How {
    Alone(Statement),
    Together(Box<Batch>),
}

/// Columns that end together.
#[derive(Debug, PartialEq, Eq)]
struct Group {
    ttl_s: i32,
    columns: Vec<Column>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Column {
    Watermark,
    /// By quarter-hour, visitors excepted.
    Part(Part),
    /// The sum of the day.
    Daily(Part),
}

/// What the columns of a part are set to.
struct Blobs {
    part: Part,
    detail: Blob,
    daily: Blob,
}

/// A blob, or nothing to write.
type Blob = MaybeUnset<Vec<u8>>;

/// What a marker of a statement stands for.
type Value<'a> = &'a (dyn SerializeValue + Sync);

struct Key<'a> {
    subject: i64,
    bucket: i32,
    day: i32,
    source: &'a str,
}

impl Writer {
    pub async fn prepare(cql: &Arc<Cql>, ttls: Ttls) -> Result<Self, CqlError> {
        describe_counter!(BYTES_WRITTEN, "Bytes of days' rows written, keys and what is put around them not counted.");
        let groups = groups(ttls);
        let mut statements = Vec::new();
        for group in &groups {
            statements.push(cql.prepare(Kind::Write, &update(&group.columns)).await?);
        }
        let how = match <[Statement; 1]>::try_from(statements) {
            Ok([statement]) => How::Alone(statement),
            Err(statements) => How::Together(Box::new(cql.write_batch(statements))),
        };
        let detail_ends = ttls.detail_s != ttls.days_s;
        Ok(Writer { cql: Arc::clone(cql), groups, detail_ends, how, bytes_written: counter!(BYTES_WRITTEN) })
    }

    /// Writes what is unwritten of a row, if anything is.
    pub async fn write(&self, source: &Source, subject: Subject, day: Day, row: &DayRow) -> Result<(), RollupsError> {
        if !Part::ALL.iter().any(|part| row.is_unwritten(*part)) {
            return Ok(());
        }
        let watermark = number(row.watermark)?;
        let timestamp = number(timestamp(row.watermark, self.detail_ends))?;
        let blobs = Part::ALL.map(|part| Blobs::of(row, part, self.detail_ends));
        let (bucket, subject) = (bucket(subject, day), subject_number(subject));
        let key = Key { subject, bucket, day: day.0, source: &source.0 };
        let columns =
            |group: &Group| group.columns.iter().map(|column| column.value(&watermark, &blobs)).collect::<Vec<_>>();
        let values: Vec<_> =
            self.groups.iter().map(|group| values(&timestamp, &group.ttl_s, columns(group), &key)).collect();
        match &self.how {
            How::Alone(statement) => self.cql.write(statement, values.concat()).await?,
            How::Together(batch) => self.cql.write_all(batch, values.as_slice()).await?,
        }
        self.bytes_written.increment(blobs.iter().map(Blobs::bytes).sum());
        Ok(())
    }
}

impl Column {
    fn name(self) -> String {
        match self {
            Column::Watermark => WATERMARK.to_owned(),
            Column::Part(part) => column(part).to_owned(),
            Column::Daily(part) => columns::daily(part),
        }
    }

    fn value<'a>(self, watermark: &'a i64, blobs: &'a [Blobs]) -> Value<'a> {
        let of = |part| blobs.iter().find(|blobs| blobs.part == part).expect("there are some of each part");
        match self {
            Column::Watermark => watermark,
            Column::Part(part) => &of(part).detail,
            Column::Daily(part) => &of(part).daily,
        }
    }

    fn ttl_s(self, Ttls { detail_s, days_s, visitors_s }: Ttls) -> i32 {
        match self {
            Column::Watermark | Column::Daily(_) => days_s,
            Column::Part(Part::Visitors) => visitors_s,
            Column::Part(_) => detail_s,
        }
    }
}

impl Blobs {
    fn of(row: &DayRow, part: Part, detail_ends: bool) -> Blobs {
        let unset = || Blobs { part, detail: Unset, daily: Unset };
        if !row.is_unwritten(part) {
            return unset();
        }
        match row.encode(part) {
            blob if blob.is_empty() => unset(),
            blob if !columns::has_daily(part) => Blobs { detail: Set(blob), ..unset() },
            blob if !detail_ends && blob.len() <= SMALL_BYTES_MAX => {
                Blobs { part, detail: Set(Vec::new()), daily: Set(blob) }
            }
            blob => Blobs { part, detail: Set(blob), daily: Set(row.encode_daily(part)) },
        }
    }

    fn bytes(&self) -> u64 {
        let bytes = |blob: &Blob| if let Set(blob) = blob { blob.len() as u64 } else { 0 };
        bytes(&self.detail) + bytes(&self.daily)
    }
}

/// Of two writes of one watermark, those of a consumer whose settings end quarter-hours before their day come after the others: the two may lay out
/// the same clicks in different columns, and a row of some of these and some of those would lack what neither lacks.
fn timestamp(watermark: u64, detail_ends: bool) -> u64 {
    watermark.saturating_mul(2).saturating_add(detail_ends.into())
}

/// What is written, by when it ends.
fn groups(ttls: Ttls) -> Vec<Group> {
    let daily = Part::ALL.into_iter().filter(|part| columns::has_daily(*part));
    let parts = Part::ALL.into_iter().map(Column::Part);
    let mut groups: Vec<Group> = Vec::new();
    for column in [Column::Watermark].into_iter().chain(parts).chain(daily.map(Column::Daily)) {
        let ttl_s = column.ttl_s(ttls);
        match groups.iter_mut().find(|group| group.ttl_s == ttl_s) {
            Some(group) => group.columns.push(column),
            None => groups.push(Group { ttl_s, columns: vec![column] }),
        }
    }
    groups
}

/// Sets columns of a row. An `UPDATE`, so that there is a row as long as a column has a value.
fn update(columns: &[Column]) -> String {
    let columns: Vec<_> = columns.iter().map(|column| format!("{} = ?", column.name())).collect();
    format!(
        "UPDATE days USING TIMESTAMP ? AND TTL ? SET {} WHERE subject = ? AND bucket = ? AND day = ? AND source = ?",
        columns.join(", ")
    )
}

/// What [`update`] needs.
fn values<'a>(
    timestamp: &'a i64,
    ttl_s: &'a i32,
    columns: impl IntoIterator<Item = Value<'a>>,
    key: &'a Key<'a>,
) -> Vec<Value<'a>> {
    let mut values: Vec<Value> = vec![timestamp, ttl_s];
    values.extend(columns);
    let Key { subject, bucket, day, source } = key;
    let key: [Value; 4] = [subject, bucket, day, source];
    values.extend(key);
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends(detail_s: i32, days_s: i32, visitors_s: i32) -> Vec<(i32, usize)> {
        let groups = groups(Ttls { detail_s, days_s, visitors_s });
        let watermark = groups.iter().find(|group| group.columns.contains(&Column::Watermark));
        assert_eq!(
            watermark.map(|group| group.ttl_s),
            Some(days_s),
            "a day that has not ended tells what it has counted"
        );
        groups.iter().map(|group| (group.ttl_s, group.columns.len())).collect()
    }

    #[test]
    fn what_ends_together_is_one_statement() {
        let parts = Part::ALL.len();
        assert_eq!(ends(0, 0, 0), [(0, 1 + parts + parts - 1)]);
        assert_eq!(ends(5, 5, 5), [(5, 1 + parts + parts - 1)]);
        assert_eq!(ends(5, 5, 0), [(5, 1 + 2 * (parts - 1)), (0, 1)]);
        assert_eq!(ends(5, 0, 0), [(0, 1 + 1 + parts - 1), (5, parts - 1)]);
        assert_eq!(ends(5, 0, 5), [(0, 1 + parts - 1), (5, parts)]);
        assert_eq!(ends(5, 6, 7), [(6, 1 + parts - 1), (5, parts - 1), (7, 1)]);
    }
}
