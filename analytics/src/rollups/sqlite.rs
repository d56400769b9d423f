//! Rollups in a SQLite file: one connection that counts, a few that answer questions, rows and progress in one transaction.

use std::{collections::BTreeMap, ops::RangeInclusive, path::Path};

use async_trait::async_trait;
use sqlx::{AssertSqlSafe, Row, SqlitePool, sqlite::SqliteRow};

use crate::{
    click::LogId,
    query::Totals,
    rollups::{
        Changes, Day, DayRow, Part, Rollups, RollupsError, Subject, TotalRow, Wanted,
        stored::{column, subject_number},
    },
    stream::{Progress, Source},
};

mod open;
mod write;

use open::is_damage;
pub use open::{OpenError, QUICK_CHECK_BYTES_MAX};

/// Rollups in a file of their own. Made, migrated and checked by [`open`](SqliteRollups::open).
///
/// A commit is one transaction, synced to the disk before it is answered.
#[derive(Debug, Clone)]
pub struct SqliteRollups {
    /// One connection: SQLite has one writer at a time. What is read to go on counting is read here as well, so that no question, however
    /// slow, holds up counting.
    writer: SqlitePool,
    readers: SqlitePool,
}

impl SqliteRollups {
    /// Opens the file, or makes it.
    pub async fn open(path: &Path) -> Result<SqliteRollups, OpenError> {
        let (writer, readers) = open::pools(path).await?;
        Ok(SqliteRollups { writer, readers })
    }
}

impl From<sqlx::Error> for RollupsError {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::Database(found) if is_damage(&**found) => RollupsError::Unreadable(error.into()),
            _ => RollupsError::Unavailable(error.into()),
        }
    }
}

fn day_row(row: &SqliteRow, parts: &[Part]) -> Result<DayRow, RollupsError> {
    let mut day = DayRow::at(row.try_get::<i64, _>("watermark")? as u64);
    for &part in parts {
        day.decode(part, row.try_get(column(part))?)?;
    }
    Ok(day)
}

#[async_trait]
impl Rollups for SqliteRollups {
    async fn progress(&self, source: &Source) -> Result<Progress, RollupsError> {
        let mut transaction = self.writer.begin().await?;
        let watermark: Option<i64> = sqlx::query_scalar("SELECT watermark FROM progress WHERE source = ?")
            .bind(&source.0)
            .fetch_optional(&mut *transaction)
            .await?;
        let logs: Vec<(i64, i64)> = sqlx::query_as(r#"SELECT log, "offset" FROM progress_logs WHERE source = ?"#)
            .bind(&source.0)
            .fetch_all(&mut *transaction)
            .await?;
        let logs: BTreeMap<_, _> = logs.into_iter().map(|(log, offset)| (LogId(log as u64), offset as u64)).collect();
        Ok(Progress { watermark: watermark.unwrap_or(0) as u64, logs })
    }

    async fn days(&self, source: &Source, keys: &[(Subject, Day)]) -> Result<Vec<DayRow>, RollupsError> {
        let mut rows = vec![DayRow::default(); keys.len()];
        let keys: Vec<_> = keys.iter().map(|(subject, day)| (subject_number(*subject), day.0)).collect();
        let found = sqlx::query(
            "SELECT k.key AS place, d.* FROM json_each(?) AS k CROSS JOIN days AS d
             ON d.subject = k.value ->> 0 AND d.day = k.value ->> 1 AND d.source = ?",
        )
        .bind(serde_json::to_string(&keys).map_err(RollupsError::unavailable)?)
        .bind(&source.0)
        .fetch_all(&self.writer)
        .await?;
        for row in &found {
            rows[row.try_get::<i64, _>("place")? as usize] = day_row(row, &Part::ALL)?;
        }
        Ok(rows)
    }

    async fn source_totals(&self, source: &Source, subjects: &[Subject]) -> Result<Vec<TotalRow>, RollupsError> {
        let mut rows = vec![TotalRow::default(); subjects.len()];
        let found: Vec<(i64, i64, i64, i64, Option<i64>, Option<i32>)> = sqlx::query_as(
            "SELECT k.key, t.watermark, t.clicks, t.bots, t.last_ms, t.first_day FROM json_each(?) AS k CROSS JOIN totals AS t
             ON t.subject = k.value AND t.source = ?",
        )
        .bind(subjects_json(subjects)?)
        .bind(&source.0)
        .fetch_all(&self.writer)
        .await?;
        for (place, watermark, clicks, bots, last_ms, first_day) in found {
            let (watermark, clicks, bots) = (watermark as u64, clicks as u64, bots as u64);
            rows[place as usize] = TotalRow { watermark, clicks, bots, last_ms, first_day: first_day.map(Day) };
        }
        Ok(rows)
    }

    async fn commit(&self, source: &Source, changes: &Changes, progress: &Progress) -> Result<(), RollupsError> {
        write::commit(&self.writer, source, changes, progress).await
    }

    async fn read(
        &self,
        subject: Subject,
        days: RangeInclusive<Day>,
        wanted: Wanted,
    ) -> Result<Vec<(Day, DayRow)>, RollupsError> {
        let parts: Vec<_> = wanted.parts().collect();
        let columns: Vec<_> = parts.iter().map(|part| column(*part)).collect();
        let columns = columns.join(", ");
        let found = sqlx::query(AssertSqlSafe(format!(
            "SELECT day, watermark, {columns} FROM days WHERE subject = ? AND day BETWEEN ? AND ?"
        )))
        .bind(subject_number(subject))
        .bind(days.start().0)
        .bind(days.end().0)
        .fetch_all(&self.readers)
        .await?;
        found.iter().map(|row| Ok((Day(row.try_get("day")?), day_row(row, &parts)?))).collect()
    }

    async fn totals(&self, subjects: &[Subject]) -> Result<Vec<Totals>, RollupsError> {
        let mut totals = vec![Totals::default(); subjects.len()];
        let found: Vec<(i64, i64, i64, Option<i64>)> = sqlx::query_as(
            "SELECT k.key, sum(t.clicks), sum(t.bots), max(t.last_ms) FROM json_each(?) AS k CROSS JOIN totals AS t
             ON t.subject = k.value GROUP BY k.key",
        )
        .bind(subjects_json(subjects)?)
        .fetch_all(&self.readers)
        .await?;
        for (place, clicks, bots, last_ms) in found {
            totals[place as usize] = Totals { clicks: clicks as u64, bots: bots as u64, last_ms };
        }
        Ok(totals)
    }

    async fn first_day(&self, subject: Subject) -> Result<Option<Day>, RollupsError> {
        let day: Option<i32> = sqlx::query_scalar("SELECT min(day) FROM days WHERE subject = ?")
            .bind(subject_number(subject))
            .fetch_one(&self.readers)
            .await?;
        Ok(day.map(Day))
    }

    async fn close(&self) {
        self.readers.close().await;
        // The last connection to close writes the write-ahead log back and deletes it.
        self.writer.close().await;
    }
}

fn subjects_json(subjects: &[Subject]) -> Result<String, RollupsError> {
    let subjects: Vec<_> = subjects.iter().map(|subject| subject_number(*subject)).collect();
    serde_json::to_string(&subjects).map_err(RollupsError::unavailable)
}

#[cfg(test)]
mod tests;
