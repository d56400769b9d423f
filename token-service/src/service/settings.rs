//! Settings: a flag and an environment variable of one name for each, read once, checked before anything starts.

mod database_url;
#[cfg(test)]
mod tests;

use std::{fmt, net::SocketAddr, num::NonZeroUsize, path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand, ValueEnum};
use traces::TracesSettings;

use crate::{
    BLOCK_COUNT, Lease,
    secret::{Secret, SecretError},
};

pub use database_url::{DatabaseUrl, DatabaseUrlError, sqlite_path};

/// The most that any time in the settings may be, in milliseconds.
const DAY_MS: u64 = 24 * 60 * 60 * 1000;
/// The shortest life of a lease, in milliseconds: an instance must find the time to renew it before it ends.
const LEASE_TTL_MS_MIN: u64 = 1000;
/// How long a lease lives by default, in milliseconds: longer than a database is usually away, so that renewals are late and
/// not missed; short enough for the blocks of an instance that died to be of use again within the hour.
const LEASE_TTL_MS: u64 = 60 * 60 * 1000;
/// How many unused blocks one owner may hold by default: four of the largest leases.
const UNUSED_BLOCKS_MAX: u32 = 4 * Lease::BLOCKS_MAX;
/// The most that the database may be waited for, in milliseconds: less than [`CALL_TIMEOUT`](super::carrier::CALL_TIMEOUT), so
/// that a caller hears of it.
const DATABASE_TIMEOUT_MS_MAX: u64 = 7000;
/// Less than an instance waits for an answer, so that it hears what is wrong.
const DATABASE_TIMEOUT_MS: u64 = 1500;

/// The command line.
#[derive(Debug, Parser)]
#[command(name = "septet-token-service", version)]
#[command(about = "Leases blocks of ids to instances of Septet, each on record.")]
#[command(after_help = "Every flag is also an environment variable: --database is SEPTET_DATABASE.\n\
    SIGTERM and SIGINT drain and exit 0.")]
pub struct Cli {
    #[command(subcommand)]
    pub command: Option<Command>,
    #[command(flatten)]
    pub settings: Settings,
}

/// What to do.
#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// Serve leases (the default)
    Serve,
    /// Prepare the database, and exit
    Migrate,
    /// Print what became of every block, and exit; the exit status is 1 if the sums do not agree
    Account,
    /// Move the id space of an embedded Septet into the database: its secret key, how far it is leased, and every lease on record
    ///
    /// Links, their codes and ids stay valid; instances then start with --leases http://... instead. Stop the embedded Septet first. The
    /// database is migrated if need be, and must not have leased anything. All of it is moved or nothing, and the lease store that it
    /// came from never leases again. If this is interrupted, run it again.
    Adopt(Adopt),
}

/// What is to be moved.
#[derive(Debug, Clone, Args)]
pub struct Adopt {
    /// The lease store of the embedded Septet: `sqlite:FILE`, its leases.db, or `sqlite:` for the one in the data directory
    #[arg(long, env = "SEPTET_FROM", hide_env_values = true, value_name = "URL")]
    from: Hidden,

    /// Let the lease store lease again after an interrupted move, which is refused once the database has the id space
    #[arg(long, env = "SEPTET_UNDO")]
    pub undo: bool,
}

impl Adopt {
    /// The file that is to be left.
    pub fn source(&self, settings: &Settings) -> Result<PathBuf, SettingError> {
        match DatabaseUrl::parse(self.from.0.trim()).map_err(SettingError::From)? {
            DatabaseUrl::Sqlite(file) => Ok(sqlite_path(file.as_deref(), &settings.data_dir)),
            DatabaseUrl::Mysql(_) => Err(SettingError::FromMysql),
        }
    }
}

/// How the token service is to run.
#[derive(Debug, Clone, Args)]
pub struct Settings {
    /// Where leases are served
    #[arg(long, env = "SEPTET_LISTEN", default_value = "127.0.0.1:8081", value_name = "ADDRESS", global = true)]
    pub listen: SocketAddr,

    /// Where /livez, /readyz and /metrics are served
    #[arg(long, env = "SEPTET_OPS_LISTEN", default_value = "127.0.0.1:9081", value_name = "ADDRESS", global = true)]
    pub ops_listen: SocketAddr,

    /// Where leases are kept: `mysql://user:password@host/database`, `sqlite:` (a file in the data directory) or `sqlite:FILE`
    #[arg(long, env = "SEPTET_DATABASE", hide_env_values = true, value_name = "URL", global = true)]
    pub database: Option<Hidden>,

    /// A file that holds the URL of the database, as there is a password in it
    #[arg(long, env = "SEPTET_DATABASE_FILE", value_name = "FILE", conflicts_with = "database", global = true)]
    pub database_file: Option<PathBuf>,

    /// Where `sqlite:` keeps its file
    #[arg(long, env = "SEPTET_DATA_DIR", default_value = "./septet-data", value_name = "DIR", global = true)]
    pub data_dir: PathBuf,

    /// The secret that instances prove themselves with, of 24 characters or more; without one, only this machine is served
    #[arg(long, env = "SEPTET_TOKEN_SERVICE_SECRET", hide_env_values = true, value_name = "SECRET", global = true)]
    pub token_service_secret: Option<Hidden>,

    /// A file that holds the secret
    #[arg(long, env = "SEPTET_TOKEN_SERVICE_SECRET_FILE", value_name = "FILE", global = true)]
    #[arg(conflicts_with = "token_service_secret")]
    pub token_service_secret_file: Option<PathBuf>,

    /// How long a lease lives without being renewed, in milliseconds; then its unused blocks are leased again
    #[arg(long, env = "SEPTET_LEASE_TTL_MS", default_value_t = LEASE_TTL_MS, value_name = "MS", global = true)]
    #[arg(value_parser = clap::value_parser!(u64).range(LEASE_TTL_MS_MIN..=DAY_MS))]
    pub lease_ttl_ms: u64,

    /// How many leased blocks an instance may hold that it has neither used nor been refused; beyond it, it gets 429
    #[arg(long, env = "SEPTET_UNUSED_BLOCKS_MAX", default_value_t = UNUSED_BLOCKS_MAX, value_name = "BLOCKS")]
    #[arg(value_parser = clap::value_parser!(u32).range(i64::from(Lease::BLOCKS_MAX)..=i64::from(BLOCK_COUNT)))]
    #[arg(global = true)]
    pub unused_blocks_max: u32,

    /// How many connections to the database are opened at most; more calls wait for one
    #[arg(long, env = "SEPTET_DATABASE_CONNECTIONS_MAX", default_value_t = 8, value_name = "COUNT", global = true)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub database_connections_max: u32,

    /// How long the database is waited for, in milliseconds; beyond it, the call gets 503
    #[arg(long, env = "SEPTET_DATABASE_TIMEOUT_MS", default_value_t = DATABASE_TIMEOUT_MS, value_name = "MS", global = true)]
    #[arg(value_parser = clap::value_parser!(u64).range(100..=DATABASE_TIMEOUT_MS_MAX))]
    pub database_timeout_ms: u64,

    /// Threads that serve requests [default: one for each CPU this process may use]
    #[arg(long, env = "SEPTET_WORKERS", value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..=512))]
    #[arg(global = true)]
    pub workers: Option<u16>,

    /// How long an idle connection is kept open, in seconds; set it above that of a load balancer in front
    #[arg(long, env = "SEPTET_KEEP_ALIVE_S", default_value_t = 75, value_name = "SECONDS", global = true)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=DAY_MS / 1000))]
    pub keep_alive_s: u64,

    /// How long to go on serving, unready, when told to stop: until load balancers have noticed, in milliseconds
    #[arg(long, env = "SEPTET_DRAIN_WAIT_MS", default_value_t = 0, value_name = "MS", global = true)]
    #[arg(value_parser = clap::value_parser!(u64).range(..=DAY_MS))]
    pub drain_wait_ms: u64,

    /// How long each further step of stopping may take, in milliseconds; exceeding it shows in the exit status
    #[arg(long, env = "SEPTET_STOP_TIMEOUT_MS", default_value_t = 10_000, value_name = "MS", global = true)]
    #[arg(value_parser = clap::value_parser!(u64).range(100..=DAY_MS))]
    pub stop_timeout_ms: u64,

    /// What is logged: a level (error, warn, info, debug, trace), or directives such as info,token_service=debug
    #[arg(
        long,
        env = "SEPTET_LOG",
        default_value = "info,actix_server=warn,actix_http=off",
        value_name = "FILTER",
        global = true
    )]
    pub log: String,

    /// How it is logged; auto: human on a terminal, JSON otherwise
    #[arg(long, env = "SEPTET_LOG_FORMAT", default_value = "auto", value_enum, value_name = "FORMAT", global = true)]
    pub log_format: LogFormat,

    #[command(flatten)]
    pub traces: TracesSettings,
}

/// The form of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    Auto,
    Human,
    Json,
}

/// Text that is never shown: taken as it is, so that no error of the command line repeats it.
#[derive(Clone)]
pub struct Hidden(String);

impl From<String> for Hidden {
    fn from(text: String) -> Self {
        Hidden(text)
    }
}

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hidden")
    }
}

/// A setting that makes no sense, in a sentence.
#[derive(Debug, thiserror::Error)]
pub enum SettingError {
    #[error(
        "--database is missing: mysql://user:password@host/database, or sqlite: for a file in --data-dir \
         (--database-file names a file that holds it)"
    )]
    NoDatabase,
    #[error("--database-file {path} cannot be read: {source}")]
    DatabaseFile { path: String, source: std::io::Error },
    #[error("--database: {0}")]
    Database(#[from] DatabaseUrlError),
    #[error("--from: {0}")]
    From(#[source] DatabaseUrlError),
    #[error(
        "--from names a MySQL database; what is moved is the lease store of an embedded Septet, sqlite:FILE. To use a MySQL database \
         that has an id space, name it in --database"
    )]
    FromMysql,
    #[error("--token-service-secret {0}")]
    Secret(SecretError),
    #[error("--token-service-secret-file {0}")]
    SecretFile(SecretError),
    #[error(
        "--listen {0} can be reached from other machines, and would hand out leases and the id space's key to anybody: \
         set --token-service-secret, or let --listen be a loopback address such as 127.0.0.1:8081"
    )]
    OpenToAll(SocketAddr),
    #[error("--log is no filter: {0}")]
    Log(String),
}

impl Settings {
    /// The database that is set, by flag, variable or file.
    pub fn database(&self) -> Result<DatabaseUrl, SettingError> {
        let url = match (&self.database, &self.database_file) {
            (Some(Hidden(url)), _) => url.clone(),
            (None, Some(path)) => std::fs::read_to_string(path)
                .map_err(|source| SettingError::DatabaseFile { path: path.display().to_string(), source })?,
            (None, None) => return Err(SettingError::NoDatabase),
        };
        Ok(DatabaseUrl::parse(url.trim())?)
    }

    /// The secret that is set, by flag, variable or file. Without one, [`Settings::listen`] is a loopback address.
    pub fn secret(&self) -> Result<Option<Secret>, SettingError> {
        match (&self.token_service_secret, &self.token_service_secret_file) {
            (Some(Hidden(text)), _) => Secret::parse(text).map(Some).map_err(SettingError::Secret),
            (None, Some(path)) => Secret::read(path).map(Some).map_err(SettingError::SecretFile),
            (None, None) if self.listen.ip().to_canonical().is_loopback() => Ok(None),
            (None, None) => Err(SettingError::OpenToAll(self.listen)),
        }
    }

    /// How many threads serve requests.
    pub fn workers(&self) -> usize {
        let available = || std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        self.workers.map_or_else(available, usize::from)
    }

    /// How long a lease lives without being renewed.
    pub fn lease_ttl(&self) -> Duration {
        Duration::from_millis(self.lease_ttl_ms)
    }

    /// How long one step of stopping may take.
    pub fn stop_timeout(&self) -> Duration {
        Duration::from_millis(self.stop_timeout_ms)
    }
}
