//! A day of a subject: the table `days`.

use std::{ops::RangeInclusive, sync::Arc};

use scylla::deserialize::{row::ColumnIterator, value::DeserializeValue};

use super::{retention::Ttls, unreadable};
use crate::{
    cql::{Cql, CqlError, Kind, Statement},
    rollups::{Day, DayRow, Part, RollupsError, Subject, stored::subject_number},
    stream::Source,
};

mod columns;
mod write;

use columns::WATERMARK;
use write::Writer;

/// Days of a link in one partition: a question about 90 of them reads four partitions at most.
const BUCKET_DAYS: i32 = 32;

pub(super) struct Table {
    cql: Arc<Cql>,
    writer: Writer,
    read_row: Statement,
    /// In the order of [`Part::ALL`].
    read_parts: Vec<(Part, Statement)>,
}

/// The partition of a subject that has a day: 32 days of a link, one of all links, whose rows are large.
fn bucket(subject: Subject, day: Day) -> i32 {
    match subject {
        Subject::All => day.0,
        Subject::Link(_) => day.0.div_euclid(BUCKET_DAYS),
    }
}

/// The partitions of a subject that have these days.
pub(super) fn buckets(subject: Subject, days: &RangeInclusive<Day>) -> RangeInclusive<i32> {
    bucket(subject, *days.start())..=bucket(subject, *days.end())
}

impl Table {
    pub async fn prepare(cql: &Arc<Cql>, ttls: Ttls) -> Result<Self, CqlError> {
        let all = Part::ALL.map(columns::of).join(", ");
        let read_row =
            format!("SELECT {WATERMARK}, {all} FROM days WHERE subject = ? AND bucket = ? AND day = ? AND source = ?");
        let mut read_parts = Vec::new();
        for part in Part::ALL {
            let read = format!(
                "SELECT day, {WATERMARK}, {} FROM days WHERE subject = ? AND bucket = ? AND day >= ? AND day <= ?",
                columns::of(part)
            );
            read_parts.push((part, cql.prepare(Kind::Read, &read).await?));
        }
        Ok(Table {
            writer: Writer::prepare(cql, ttls).await?,
            read_row: cql.prepare(Kind::Read, &read_row).await?,
            read_parts,
            cql: Arc::clone(cql),
        })
    }

    /// Writes what is unwritten of a row.
    pub async fn write(&self, source: &Source, subject: Subject, day: Day, row: &DayRow) -> Result<(), RollupsError> {
        self.writer.write(source, subject, day, row).await
    }

    /// The whole row of one source.
    pub async fn row(&self, source: &Source, subject: Subject, day: Day) -> Result<DayRow, RollupsError> {
        let key = (subject_number(subject), bucket(subject, day), day.0, source.0.as_str());
        let rows = self.cql.rows(&self.read_row, key).await?;
        match rows.maybe_first_row::<ColumnIterator>().map_err(unreadable)? {
            Some(mut columns) => row(&mut columns, &Part::ALL),
            None => Ok(DayRow::default()),
        }
    }

    /// One part of the rows of all sources that are in one partition.
    pub async fn part(
        &self,
        subject: Subject,
        bucket: i32,
        days: &RangeInclusive<Day>,
        part: Part,
    ) -> Result<Vec<(Day, DayRow)>, RollupsError> {
        let (_, read) = self.read_parts.iter().find(|(of, _)| *of == part).expect("there is one for each");
        let key = (subject_number(subject), bucket, days.start().0, days.end().0);
        let rows = self.cql.rows(read, key).await?;
        let rows = rows.rows::<ColumnIterator>().map_err(unreadable)?;
        let rows = rows.map(|columns| {
            let mut columns = columns.map_err(unreadable)?;
            Ok((Day(next(&mut columns)?), row(&mut columns, &[part])?))
        });
        rows.collect()
    }
}

/// The watermark and some parts: each by quarter-hour, or as the sum of the day where its quarter-hours have ended.
///
/// Where only visitors are left, there is no watermark any more. A sum without one was written under other settings, and is older than
/// what has ended: it is left alone, as counting on from it would count twice what comes again.
fn row(columns: &mut ColumnIterator, parts: &[Part]) -> Result<DayRow, RollupsError> {
    let watermark: Option<i64> = next(columns)?;
    let mut row = DayRow::at(watermark.unwrap_or_default().cast_unsigned());
    for &part in parts {
        let mut blob: Option<&[u8]> = next(columns)?;
        if columns::has_daily(part) {
            let daily: Option<&[u8]> = next(columns)?;
            blob = blob.or(daily.filter(|_| watermark.is_some()));
        }
        row.decode(part, blob.unwrap_or_default())?;
    }
    Ok(row)
}

/// The next column.
fn next<'frame, 'metadata, T>(columns: &mut ColumnIterator<'frame, 'metadata>) -> Result<T, RollupsError>
where
    T: DeserializeValue<'frame, 'metadata>,
{
    let column = columns.next().expect("there are as many as were selected").map_err(unreadable)?;
    T::type_check(column.spec.typ()).map_err(unreadable)?;
    T::deserialize(column.spec.typ(), column.slice).map_err(unreadable)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Seen to fail when days before 1970 were rounded towards it.
        #[test]
        fn ninety_days_of_a_link_are_four_partitions_at_most(first in -200..200_i32, day in 0..90_i32) {
            let link = Subject::Link(1);
            let days = Day(first)..=Day(first + 89);
            let read = buckets(link, &days);
            prop_assert!(read.clone().count() <= 4);
            prop_assert!(read.contains(&bucket(link, Day(first + day))));
            let sharing = (-100..100).filter(|other| bucket(link, Day(first + other)) == bucket(link, Day(first)));
            prop_assert_eq!(sharing.count(), 32);
            prop_assert_eq!(buckets(Subject::All, &days).count(), 90);
        }
    }
}
