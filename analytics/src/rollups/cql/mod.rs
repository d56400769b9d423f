//! Rollups in ScyllaDB, or any Cassandra 5: the distributed implementation.
//!
//! **Who is late, loses.** Every row is written with the watermark up to which it has counted as its timestamp (`USING TIMESTAMP`; twice that in the
//! table of days, where settings decide between two layouts), by plain writes of absolute values. What stands under a watermark follows from the clicks of the source up to it and from nothing else, so a
//! write that comes late, of a consumer that has lost its partition, or once more, or after a minute in some node's queue, holds what is
//! there already, or has a lower watermark and loses, column by column, on every replica. No clock takes part, and nothing
//! is read in order to be written. How parts of one row go together: [`days::write`](days).
//!
//! **The order of a commit**: all rows, at once; when a quorum has each of them, the progress. Cut off anywhere before, the progress is behind the
//! rows: whoever has the source next reads their watermarks and skips what they hold. It writes whole what it has read, in the commit
//! that moves the progress on: what it has read may have been on one replica only. A statement that fails is attempted again by itself, so that a
//! large commit need not go well all at once.
//!
//! **Quorums are counted in one data center**: all consumers of a topic must run against the same one, as a consumer in another might
//! find a progress whose rows are still on their way there. Questions may be asked anywhere, and may be behind there.
//!
//! # Limits
//! | limit | when it is reached | metric |
//! |---|---|---|
//! | [`ROWS_IN_FLIGHT_MAX`] rows being written or read to count on | the others wait | `septet_rollups_statements_in_flight{work="counting"}` |
//! | [`ATTEMPTS_MAX`] at one of them, with pauses in which it keeps its room | the commit or the read fails | `septet_rollups_statements_repeated_total` |
//! | [`PARTITIONS_IN_FLIGHT_MAX`] partitions being read for questions | the others wait | the same, `work="questions"` |
//! | [`PARTITIONS_AT_ONCE`] of one question | the others wait | the time of a question, `septet_analytics_call_seconds` |
//! | a row's size, which [the caps on values](crate::rollups::values) bound | it cannot be | `septet_rollups_day_bytes_written_total` |

use std::{
    ops::RangeInclusive,
    sync::{Arc, Weak},
};

use async_trait::async_trait;
use futures::{StreamExt, TryStreamExt, stream, try_join};

use crate::{
    cql::{self, Cql, CqlError, CqlOptions, Migrated, Migration, Schema, SchemaError},
    query::Totals,
    rollups::{Changes, Day, DayRow, Rollups, RollupsError, Subject, TotalRow, Wanted},
    stream::{Progress, Source},
};

mod attempts;
mod days;
mod in_flight;
mod progress;
mod retention;
mod totals;

pub use attempts::ATTEMPTS_MAX;
use attempts::Attempts;
use in_flight::InFlight;
pub use retention::{KEPT_MAX, Retention, RetentionError};

/// Rows that are written, or read to go on counting, at once, over all sources of a store.
pub const ROWS_IN_FLIGHT_MAX: u32 = 128;

/// Partitions that are read for questions at once, over all of them.
pub const PARTITIONS_IN_FLIGHT_MAX: u32 = 256;

/// Partitions that are read for one question at once.
pub const PARTITIONS_AT_ONCE: usize = 16;

/// The tables.
const SCHEMA: Schema = Schema {
    name: "rollups",
    migrations: &[
        Migration { version: 1, cql: include_str!("../../../../migrations/cql/rollups/0001_rollups.cql") },
        Migration { version: 2, cql: include_str!("../../../../migrations/cql/rollups/0002_daily.cql") },
    ],
};

/// Makes the keyspace and its tables, or brings them up to date.
pub async fn migrate(options: &CqlOptions, replication_factor: u32) -> Result<Migrated, SchemaError> {
    cql::migrate(options, replication_factor, SCHEMA).await
}

/// Why rollups were not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error(transparent)]
    Schema(#[from] SchemaError),
    #[error(transparent)]
    Retention(#[from] RetentionError),
}

impl From<CqlError> for OpenError {
    fn from(error: CqlError) -> Self {
        OpenError::Schema(error.into())
    }
}

impl OpenError {
    /// Whether the same may turn out well later, without anybody's doing.
    pub fn is_transient(&self) -> bool {
        match self {
            OpenError::Schema(error) => error.is_transient(),
            OpenError::Retention(_) => false,
        }
    }
}

/// Rollups in a keyspace of their own, or one that they share.
pub struct CqlRollups {
    cql: Arc<Cql>,
    days: days::Table,
    totals: totals::Table,
    progress: progress::Table,
    counting: InFlight,
    attempts: Attempts,
    /// Apart, so that no question holds up counting.
    questions: InFlight,
}

impl CqlRollups {
    /// Opens a keyspace that was [migrated](migrate).
    ///
    /// # Errors
    /// A sentence for a person; [`OpenError::is_transient`] tells whether to try again.
    pub async fn open(options: &CqlOptions, retention: Retention) -> Result<Self, OpenError> {
        let ttls = retention.ttls()?;
        let cql = Arc::new(Cql::connect(options).await?);
        cql::check(&cql, SCHEMA).await?;
        Ok(CqlRollups {
            days: days::Table::prepare(&cql, ttls).await?,
            totals: totals::Table::prepare(&cql).await?,
            progress: progress::Table::prepare(&cql).await?,
            counting: InFlight::new("counting", ROWS_IN_FLIGHT_MAX),
            attempts: Attempts::new(),
            questions: InFlight::new("questions", PARTITIONS_IN_FLIGHT_MAX),
            cql,
        })
    }

    /// The session, for what the process says of it at its start: [`cql::durability()`].
    pub fn cql(&self) -> &Cql {
        &self.cql
    }

    /// The session, for whoever shows what it counts ([`cql::show`]) while it is there.
    pub fn session(&self) -> Weak<Cql> {
        Arc::downgrade(&self.cql)
    }

    /// A statement of counting, when there is room for it, as often as it takes.
    async fn count<T, F>(&self, statement: impl Fn() -> F) -> Result<T, RollupsError>
    where
        F: Future<Output = Result<T, RollupsError>>,
    {
        self.counting.run(self.attempts.at(statement)).await
    }
}

#[async_trait]
impl Rollups for CqlRollups {
    async fn progress(&self, source: &Source) -> Result<Progress, RollupsError> {
        self.count(|| self.progress.read(source)).await
    }

    async fn days(&self, source: &Source, keys: &[(Subject, Day)]) -> Result<Vec<DayRow>, RollupsError> {
        let row = |(subject, day)| self.count(move || self.days.row(source, subject, day));
        let rows = keys.iter().copied().map(row);
        stream::iter(rows).buffered(ROWS_IN_FLIGHT_MAX as usize).try_collect().await
    }

    async fn source_totals(&self, source: &Source, subjects: &[Subject]) -> Result<Vec<TotalRow>, RollupsError> {
        let row = |subject| self.count(move || self.totals.one(source, subject));
        let rows = subjects.iter().copied().map(row);
        stream::iter(rows).buffered(ROWS_IN_FLIGHT_MAX as usize).try_collect().await
    }

    async fn commit(&self, source: &Source, changes: &Changes, progress: &Progress) -> Result<(), RollupsError> {
        // By their places: of a closure that borrows what it is given, the compiler cannot tell that it may go to another thread.
        let days = (0..changes.days.len()).map(|place| {
            let (subject, day, row) = &changes.days[place];
            self.count(move || self.days.write(source, *subject, *day, row))
        });
        let totals = (0..changes.totals.len()).map(|place| {
            let (subject, row) = &changes.totals[place];
            self.count(move || self.totals.write(source, *subject, row))
        });
        try_join!(all(days), all(totals))?;
        self.count(|| self.progress.write(source, progress)).await
    }

    async fn read(
        &self,
        subject: Subject,
        days: RangeInclusive<Day>,
        wanted: Wanted,
    ) -> Result<Vec<(Day, DayRow)>, RollupsError> {
        let partitions = days::buckets(subject, &days);
        let partitions = partitions.map(|bucket| self.questions.run(self.days.read(subject, bucket, &days, wanted)));
        stream::iter(partitions).buffer_unordered(PARTITIONS_AT_ONCE).try_concat().await
    }

    async fn totals(&self, subjects: &[Subject]) -> Result<Vec<Totals>, RollupsError> {
        let sums = subjects.iter().copied().map(|subject| self.questions.run(self.totals.sum(subject)));
        stream::iter(sums).buffered(PARTITIONS_AT_ONCE).map_ok(|sum| sum.totals).try_collect().await
    }

    async fn first_day(&self, subject: Subject) -> Result<Option<Day>, RollupsError> {
        Ok(self.questions.run(self.totals.sum(subject)).await?.first_day)
    }

    async fn close(&self) {
        self.counting.close().await;
        self.questions.close().await;
    }
}

/// Ends when all writes are done, or with the first that fails.
async fn all(writes: impl Iterator<Item = impl Future<Output = Result<(), RollupsError>>>) -> Result<(), RollupsError> {
    stream::iter(writes).buffer_unordered(ROWS_IN_FLIGHT_MAX as usize).try_collect().await
}

impl From<CqlError> for RollupsError {
    fn from(error: CqlError) -> Self {
        match error {
            CqlError::Unreadable(_) => RollupsError::Unreadable(error.into()),
            _ if error.is_transient() => RollupsError::Unavailable(error.into()),
            _ => RollupsError::Refused(error.into()),
        }
    }
}

/// An answer that is not what was asked for.
fn unreadable(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> RollupsError {
    RollupsError::Unreadable(error.into())
}
