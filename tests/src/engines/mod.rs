//! The real engines that tests run against: MariaDB (stands for MySQL), Kafka, Cassandra (stands for ScyllaDB).
//!
//! A test that does no harm uses the shared engine of its kind, under a name of its own ([`unique_name`],
//! [`mariadb::database`]). A test that kills, freezes or restores one starts its own. Each is a process on ports of its own
//! in a temporary directory, and both are gone afterwards, however the owner ends: see [`watched_dir`]. It listens on this
//! machine's loopback, unless the environment names another [`place`].
//!
//! Calls block. Tests that need an engine carry `#[ignore = "needs <engine>: run by tests/run"]`.

pub mod cassandra;
mod data_copy;
mod jars;
mod java;
pub mod kafka;
pub mod mariadb;
pub mod network;
pub mod place;
pub mod ports;
mod probe;
pub mod server;
pub mod watched_dir;

use std::time::Duration;

use anyhow::Result;

pub use self::data_copy::DataCopy;
use self::server::Server;

/// An engine that a test owns, and may do to what it likes. Killed when dropped; its directory goes with it.
pub trait Engine: Sized {
    /// Starts one on an empty directory, and waits until it is ready.
    ///
    /// # Errors
    /// When something is not installed, or it does not get ready: with the end of its log.
    fn try_start() -> Result<Self>;

    /// The process.
    fn server(&self) -> &Server;

    /// The process.
    fn server_mut(&mut self) -> &mut Server;

    /// As [`try_start`](Self::try_start).
    ///
    /// # Panics
    /// When it does not start.
    fn start() -> Self {
        or_fail(Self::try_start())
    }

    /// `kill -9`. It is gone when this returns. Nothing happens when it does not run.
    fn kill(&mut self) {
        self.server_mut().kill();
    }

    /// Stops it in order. Nothing happens when it does not run.
    ///
    /// # Panics
    /// When that takes more than a minute.
    fn stop(&mut self) {
        or_fail(self.server_mut().stop());
    }

    /// Starts it on the same directory and ports, after [`kill`](Self::kill) or [`stop`](Self::stop).
    ///
    /// # Panics
    /// When it runs, or does not get ready.
    fn start_again(&mut self) {
        or_fail(self.server_mut().start());
    }

    /// Freezes it (SIGSTOP): its connections stay, and nothing is answered.
    ///
    /// # Panics
    /// When it does not run.
    fn freeze(&self) {
        self.server().freeze();
    }

    /// Lets it go on after [`freeze`](Self::freeze).
    ///
    /// # Panics
    /// When it does not run.
    fn thaw(&self) {
        self.server().thaw();
    }

    /// A copy of everything it keeps, as of now.
    ///
    /// # Panics
    /// When it runs, or the copy cannot be written.
    fn copy(&self) -> DataCopy {
        or_fail(self.server().copy())
    }

    /// Everything it keeps becomes what it was when `copy` was made.
    ///
    /// # Panics
    /// When it runs, or the copy cannot be written.
    fn restore(&mut self, copy: &DataCopy) {
        or_fail(self.server_mut().restore(copy));
    }
}

/// A name that no other test uses, in this run or a past one: for databases, keyspaces and topics.
pub fn unique_name(prefix: &str) -> String {
    format!("{prefix}_{:016x}", rand::random::<u64>())
}

/// How long an engine may take to start or to stop, and a step of its preparation to end.
pub const LIMIT: Duration = Duration::from_secs(120);

fn or_fail<T>(result: Result<T>) -> T {
    result.unwrap_or_else(|err| panic!("{err:#}"))
}

/// What `shared` keeps: a start that failed is not tried again by every test.
type Once<T> = std::sync::OnceLock<std::result::Result<T, String>>;

fn once<T>(cell: &'static Once<T>, start: impl FnOnce() -> Result<T>) -> &'static T {
    match cell.get_or_init(|| start().map_err(|err| format!("{err:#}"))) {
        Ok(started) => started,
        Err(err) => panic!("{err}"),
    }
}
