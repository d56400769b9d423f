//! How a day's row is written.
//!
//! A write holds the parts that [are unwritten](DayRow::is_unwritten), and always the watermark, which is its timestamp as well; a
//! replica has all of it or nothing. A part stays out if a quorum has had it since it changed last, or if it is empty, as it then was at every
//! lower watermark too. So whoever reads a watermark from a quorum finds each part as it was at that watermark, whichever
//! consumers wrote the two. Columns that stay out are unset: a written null would be a tombstone.

use std::sync::Arc;

use metrics::{Counter, counter, describe_counter};
use scylla::{
    serialize::value::SerializeValue,
    statement::batch::Batch,
    value::MaybeUnset::{self, Set, Unset},
};

use super::bucket;
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

/// A row with as many values of each dimension as are kept and `(other)`, each as long as may be and clicked in every quarter-hour.
const ROW_BYTES_MAX: usize = (Dimension::ALL.len() - 1) * (VALUES_MAX + 1) * (2 + VALUE_BYTES_MAX + SLOTS_BYTES_MAX)
    + (LINKS_MAX + 1) * (LINK_BYTES_MAX + SLOTS_BYTES_MAX)
    // Clicks, visitors, the key, and what nodes put around it all.
    + (64 << 10);

// No row is too large to be written: it would take 300,000 clicks a second from one source on every single value.
const _: () = assert!(ROW_BYTES_MAX < WRITE_BYTES_MAX);

const WATERMARK: &str = "watermark";

const BYTES_WRITTEN: &str = "septet_rollups_day_bytes_written_total";

/// Writes rows.
pub(super) struct Writer {
    cql: Arc<Cql>,
    how: How,
    bytes_written: Counter,
}

enum How {
    Together {
        row: Statement,
        ttl_s: i32,
    },
    /// Visitors end at another time, which takes a statement of their own; both are one write. The watermark ends with the clicks: where
    /// only visitors are left, counting may begin anew, as who is added to them twice is in them once.
    Apart {
        both: Box<Batch>,
        ttls: Ttls,
    },
}

/// A part's blob, or nothing to write.
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
        let update = async |columns: &[&str]| cql.prepare(Kind::Write, &update(columns)).await;
        let how = if ttls.days_s == ttls.visitors_s {
            let columns: Vec<_> = [WATERMARK].into_iter().chain(Part::ALL.map(column)).collect();
            How::Together { row: update(&columns).await?, ttl_s: ttls.days_s }
        } else {
            let others = Part::ALL.into_iter().filter(|part| *part != Part::Visitors).map(column);
            let others: Vec<_> = [WATERMARK].into_iter().chain(others).collect();
            let both = cql.write_batch([update(&others).await?, update(&[column(Part::Visitors)]).await?]);
            How::Apart { both: Box::new(both), ttls }
        };
        Ok(Writer { cql: Arc::clone(cql), how, bytes_written: counter!(BYTES_WRITTEN) })
    }

    /// Writes what is unwritten of a row, if anything is.
    pub async fn write(&self, source: &Source, subject: Subject, day: Day, row: &DayRow) -> Result<(), RollupsError> {
        if !Part::ALL.iter().any(|part| row.is_unwritten(*part)) {
            return Ok(());
        }
        let watermark = number(row.watermark)?;
        let blobs = Part::ALL.map(|part| (part, blob(row, part)));
        let (bucket, subject) = (bucket(subject, day), subject_number(subject));
        let key = Key { subject, bucket, day: day.0, source: &source.0 };
        match &self.how {
            How::Together { row, ttl_s } => {
                let columns = [&watermark as Value].into_iter().chain(blobs.iter().map(|(_, blob)| blob as Value));
                self.cql.write(row, values(&watermark, ttl_s, columns, &key)).await?;
            }
            How::Apart { both, ttls } => {
                let is_visitors = |(part, _): &&(Part, Blob)| *part == Part::Visitors;
                let others = blobs.iter().filter(|blob| !is_visitors(blob)).map(|(_, blob)| blob as Value);
                let others = [&watermark as Value].into_iter().chain(others);
                let visitors = blobs.iter().filter(is_visitors).map(|(_, blob)| blob as Value);
                let others = values(&watermark, &ttls.days_s, others, &key);
                let visitors = values(&watermark, &ttls.visitors_s, visitors, &key);
                self.cql.write_all(both, [others, visitors].as_slice()).await?;
            }
        }
        self.bytes_written.increment(blobs.iter().map(|(_, blob)| bytes(blob)).sum());
        Ok(())
    }
}

/// Sets columns of a row. An `UPDATE`, so that there is a row as long as a column has a value.
fn update(columns: &[&str]) -> String {
    let columns: Vec<_> = columns.iter().map(|column| format!("{column} = ?")).collect();
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

fn blob(row: &DayRow, part: Part) -> Blob {
    if !row.is_unwritten(part) {
        return Unset;
    }
    match row.encode(part) {
        blob if blob.is_empty() => Unset,
        blob => Set(blob),
    }
}

fn bytes(blob: &Blob) -> u64 {
    match blob {
        Set(blob) => blob.len() as u64,
        Unset => 0,
    }
}
