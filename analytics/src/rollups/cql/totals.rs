//! All that was ever counted of a subject: the table `totals`.

use std::sync::Arc;

use scylla::value::MaybeUnset::{self, Set, Unset};

use super::unreadable;
use crate::{
    cql::{Cql, CqlError, Kind, Statement},
    query::Totals,
    rollups::{
        Day, RollupsError, Subject, TotalRow,
        stored::{number, subject_number},
    },
    stream::Source,
};

pub(super) struct Table {
    cql: Arc<Cql>,
    write: Statement,
    read_one: Statement,
    read_all: Statement,
}

/// Of all sources together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Sum {
    pub totals: Totals,
    pub first_day: Option<Day>,
}

/// The watermark, clicks, bots, last_ms, first_day.
type Row = (i64, i64, i64, Option<i64>, Option<i32>);

impl Table {
    pub async fn prepare(cql: &Arc<Cql>) -> Result<Self, CqlError> {
        let read = "SELECT watermark, clicks, bots, last_ms, first_day FROM totals WHERE subject = ?";
        let write = "INSERT INTO totals (subject, source, watermark, clicks, bots, last_ms, first_day)
                     VALUES (?, ?, ?, ?, ?, ?, ?) USING TIMESTAMP ?";
        Ok(Table {
            write: cql.prepare(Kind::Write, write).await?,
            read_one: cql.prepare(Kind::Read, &format!("{read} AND source = ?")).await?,
            read_all: cql.prepare(Kind::Read, read).await?,
            cql: Arc::clone(cql),
        })
    }

    /// Writes a row, unless it has counted nothing.
    pub async fn write(&self, source: &Source, subject: Subject, row: &TotalRow) -> Result<(), RollupsError> {
        if row.watermark == 0 {
            return Ok(());
        }
        let watermark = number(row.watermark)?;
        let (clicks, bots) = (number(row.clicks)?, number(row.bots)?);
        let (last_ms, first_day) = (set(row.last_ms), set(row.first_day.map(|day| day.0)));
        let key = (subject_number(subject), source.0.as_str());
        let values = (key.0, key.1, watermark, clicks, bots, last_ms, first_day, watermark);
        Ok(self.cql.write(&self.write, values).await?)
    }

    /// Of one source.
    pub async fn one(&self, source: &Source, subject: Subject) -> Result<TotalRow, RollupsError> {
        let rows = self.cql.rows(&self.read_one, (subject_number(subject), source.0.as_str())).await?;
        Ok(rows.maybe_first_row::<Row>().map_err(unreadable)?.map(total).unwrap_or_default())
    }

    /// Of all sources.
    pub async fn sum(&self, subject: Subject) -> Result<Sum, RollupsError> {
        let rows = self.cql.rows(&self.read_all, (subject_number(subject),)).await?;
        let mut sum = Sum::default();
        for row in rows.rows::<Row>().map_err(unreadable)? {
            sum.add(&total(row.map_err(unreadable)?));
        }
        Ok(sum)
    }
}

impl Sum {
    fn add(&mut self, row: &TotalRow) {
        self.totals.clicks += row.clicks;
        self.totals.bots += row.bots;
        self.totals.last_ms = self.totals.last_ms.max(row.last_ms);
        self.first_day = self.first_day.into_iter().chain(row.first_day).min();
    }
}

fn total((watermark, clicks, bots, last_ms, first_day): Row) -> TotalRow {
    TotalRow {
        watermark: watermark.cast_unsigned(),
        clicks: clicks.cast_unsigned(),
        bots: bots.cast_unsigned(),
        last_ms,
        first_day: first_day.map(Day),
    }
}

/// What has no value never had one.
fn set<T>(value: Option<T>) -> MaybeUnset<T> {
    value.map_or(Unset, Set)
}
