//! A day of a subject: the table `days`.

use std::{ops::RangeInclusive, sync::Arc};

use scylla::deserialize::{row::ColumnIterator, value::DeserializeValue};

use super::{retention::Ttls, unreadable};
use crate::{
    cql::{Cql, CqlError, Kind, Statement},
    query::Dimension,
    rollups::{Day, DayRow, Part, RollupsError, Subject, Wanted, stored::subject_number},
    stream::Source,
};

mod columns;
mod write;

use columns::{Read, WATERMARK};
use write::Writer;

/// Days of a link in one partition: a question about 90 of them reads four partitions at most.
const BUCKET_DAYS: i32 = 32;

pub(super) struct Table {
    cql: Arc<Cql>,
    writer: Writer,
    read_row: Statement,
    /// One for each that may be wanted.
    reads: Vec<(Wanted, Statement)>,
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

/// All that there is to count on from.
fn whole_row() -> [Read; Part::ALL.len()] {
    Part::ALL.map(Read::Part)
}

impl Table {
    pub async fn prepare(cql: &Arc<Cql>, ttls: Ttls) -> Result<Self, CqlError> {
        let all = columns::list(&whole_row());
        let read_row =
            format!("SELECT {WATERMARK}, {all} FROM days WHERE subject = ? AND bucket = ? AND day = ? AND source = ?");
        let days = Dimension::ALL.map(Wanted::WholeDays).into_iter().chain([Wanted::ClicksAndVisitors]);
        let mut reads = Vec::new();
        for wanted in Part::ALL.map(Wanted::Part).into_iter().chain(days) {
            let read = format!(
                "SELECT day, {WATERMARK}, {} FROM days WHERE subject = ? AND bucket = ? AND day >= ? AND day <= ?",
                columns::list(&Read::of(wanted))
            );
            reads.push((wanted, cql.prepare(Kind::Read, &read).await?));
        }
        Ok(Table {
            writer: Writer::prepare(cql, ttls).await?,
            read_row: cql.prepare(Kind::Read, &read_row).await?,
            reads,
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
            Some(mut columns) => row(&mut columns, &whole_row()),
            None => Ok(DayRow::default()),
        }
    }

    /// What is wanted of the rows of all sources that are in one partition.
    pub async fn read(
        &self,
        subject: Subject,
        bucket: i32,
        days: &RangeInclusive<Day>,
        wanted: Wanted,
    ) -> Result<Vec<(Day, DayRow)>, RollupsError> {
        let (_, read) = self.reads.iter().find(|(of, _)| *of == wanted).expect("there is one for each");
        let reads = Read::of(wanted);
        let key = (subject_number(subject), bucket, days.start().0, days.end().0);
        let rows = self.cql.rows(read, key).await?;
        let rows = rows.rows::<ColumnIterator>().map_err(unreadable)?;
        let rows = rows.map(|columns| {
            let mut columns = columns.map_err(unreadable)?;
            Ok((Day(next(&mut columns)?), row(&mut columns, &reads)?))
        });
        rows.collect()
    }
}

/// The watermark and some parts.
///
/// Where only visitors are left, there is no watermark any more. A sum without one was written under other settings, and is older than
/// what has ended: it is left alone, as counting on from it would count twice what comes again.
fn row(columns: &mut ColumnIterator, reads: &[Read]) -> Result<DayRow, RollupsError> {
    let watermark: Option<i64> = next(columns)?;
    let mut row = DayRow::at(watermark.unwrap_or_default().cast_unsigned());
    let daily = |columns: &mut _| blob(columns).map(|daily| if watermark.is_some() { daily } else { &[] });
    for read in reads {
        match *read {
            Read::Part(part) if !columns::has_daily(part) => row.decode(part, blob(columns)?)?,
            Read::Part(part) => match (blob(columns)?, daily(columns)?) {
                ([], daily) => row.decode(part, daily)?,
                (detail, _) => row.decode(part, detail)?,
            },
            Read::Daily(part) => row.decode(part, daily(columns)?)?,
        }
    }
    Ok(row)
}

/// The blob in the next column; one that is not there is empty.
fn blob<'frame>(columns: &mut ColumnIterator<'frame, '_>) -> Result<&'frame [u8], RollupsError> {
    Ok(next::<Option<_>>(columns)?.unwrap_or_default())
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
