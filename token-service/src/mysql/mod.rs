//! Leases in MySQL 8 or MariaDB 10.11: the distributed implementation. Any number of services may use one database.
//!
//! What is in it is described in `migrations/mysql`.

mod database;
mod migrate;

use std::{str::FromStr, time::Duration};

use sqlx::{
    ConnectOptions,
    mysql::{MySqlConnectOptions, MySqlPool},
};

use crate::{
    UNUSED_BLOCKS_MAX,
    ledger::{Ledger, Rules},
};
use database::MysqlDatabase;

pub use crate::ledger::{LEASE_TTL, REAPED_PER_COMMIT_MAX};
pub use migrate::SchemaError;

/// The lease store in a MySQL database.
pub type MysqlLeases = Ledger<MysqlDatabase>;

/// How a database is used.
#[derive(Debug, Clone)]
pub struct MysqlOptions {
    /// The time to live of new leases, at least a millisecond.
    pub ttl: Duration,
    /// See [`UNUSED_BLOCKS_MAX`].
    pub unused_blocks_max: u64,
    /// Connections at most. One of them writes; the others read the record.
    pub connections_max: u32,
    /// How long a transaction or a reading may take, with connecting and with repetitions after a conflict.
    pub timeout: Duration,
}

impl Default for MysqlOptions {
    fn default() -> Self {
        let timeout = Duration::from_secs(5);
        Self { ttl: LEASE_TTL, unused_blocks_max: UNUSED_BLOCKS_MAX, connections_max: 8, timeout }
    }
}

/// Where the database is, and as whom it is used. Never shown: it holds a password.
#[derive(Clone)]
pub struct MysqlUrl(Box<MySqlConnectOptions>);

/// What is wrong with a URL, without repeating it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    #[error("is no URL of the form mysql://user:password@host:3306/database")]
    Malformed,
    #[error("names no database: mysql://user:password@host:3306/database")]
    NoDatabase,
}

impl FromStr for MysqlUrl {
    type Err = UrlError;

    fn from_str(url: &str) -> Result<Self, UrlError> {
        let options: MySqlConnectOptions = url.parse().map_err(|_| UrlError::Malformed)?;
        if options.get_database().is_none_or(str::is_empty) {
            return Err(UrlError::NoDatabase);
        }
        // A call that takes too long is spoken of where it fails, without its SQL.
        Ok(Self(Box::new(options.disable_statement_logging())))
    }
}

impl std::fmt::Debug for MysqlUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "MysqlUrl({}:{})", self.0.get_host(), self.0.get_port())
    }
}

impl MysqlLeases {
    /// Leases in this database, which is not connected to before it is needed; [`check`](Self::check) tells whether it is fit for
    /// use. Must be called in a Tokio runtime.
    pub fn new(url: &MysqlUrl, options: MysqlOptions) -> Self {
        let pool: MySqlPool = database::pool(*url.0.clone(), &options);
        let rules = Rules::new(options.ttl, options.unused_blocks_max, options.timeout);
        Self::start(MysqlDatabase { pool }, rules)
    }

    /// Looks whether the tables are there, and as this version knows them.
    pub async fn check(&self) -> Result<(), SchemaError> {
        migrate::check(&self.database().pool, self.timeout()).await
    }

    /// Makes the tables, and the id space's key the first time. Safe to run twice, and by two at once.
    pub async fn migrate(url: &MysqlUrl) -> Result<(), SchemaError> {
        migrate::migrate(&url.0).await
    }
}
