//! Leases in SQLite: the embedded implementation.
//!
//! The file has one connection, and every batch of calls is one transaction on it. What is in the file is described in
//! `migrations/sqlite/leases`.

mod database;
mod open;
#[cfg(feature = "service")]
mod source;
#[cfg(test)]
mod tests;

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use crate::{UNUSED_BLOCKS_MAX, ledger::Ledger};
use database::SqliteDatabase;

pub use crate::ledger::{LEASE_TTL, REAPED_PER_COMMIT_MAX};
pub use open::{APPLICATION_ID, OpenError, QUICK_CHECK_BYTES_MAX};
#[cfg(feature = "service")]
pub use source::{Mark, Source, SourceError};

/// The file that a process locks (`flock`) in the directory of its own where it keeps a lease store.
pub const DIRECTORY_LOCK: &str = "lock";

/// Tells the time, in Unix milliseconds. It may jump: a lease then expires early or late, which the claims make harmless.
pub type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// The clock of this machine.
pub fn system_clock() -> Clock {
    Arc::new(|| SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64))
}

/// How a store is opened.
#[derive(Clone)]
pub struct SqliteOptions {
    /// The time to live of new leases, at least a millisecond.
    pub ttl: Duration,
    /// See [`UNUSED_BLOCKS_MAX`].
    pub unused_blocks_max: u64,
    pub clock: Clock,
}

impl Default for SqliteOptions {
    fn default() -> Self {
        Self { ttl: LEASE_TTL, unused_blocks_max: UNUSED_BLOCKS_MAX, clock: system_clock() }
    }
}

/// The lease store in an SQLite file.
pub type SqliteLeases = Ledger<SqliteDatabase>;
