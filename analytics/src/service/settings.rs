//! Settings: a flag and an environment variable of one name for each, read once, checked before anything starts.

mod rollups;
#[cfg(test)]
mod tests;

use std::{fmt, net::SocketAddr, path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand, ValueEnum};
use traces::TracesSettings;

pub use self::rollups::RollupsSettings;
use super::counting::Counting;
use crate::{
    consumer::ConsumerOptions,
    cql::CqlUrlError,
    kafka::{
        KafkaOptions, KafkaUrl, KafkaUrlError,
        properties::{self, PropertiesError},
        topic::{CLICKS_RETENTION_MS, CLICKS_RETENTION_MS_MIN, PARTITIONS_MAX, TopicSettings},
    },
    rollups::cql::RetentionError,
    secret::{Secret, SecretError},
};

/// The most that any time in the settings may be, in milliseconds, but for how long a click is kept.
const DAY_MS: u64 = 24 * 60 * 60 * 1000;
/// The least memory for rows, in bytes: less keeps next to none.
const ROLLUP_CACHE_BYTES_MIN: u64 = 1 << 20;
/// What brokers call this service in their logs and quotas.
const CLIENT_ID: &str = "septet-analytics";

/// The command line.
#[derive(Debug, Parser)]
#[command(name = "septet-analytics", version)]
#[command(about = "Counts the clicks of a Kafka topic, each once, and answers questions about them.")]
#[command(after_help = "Every flag is also an environment variable: --rollups is SEPTET_ROLLUPS.\n\
    SIGTERM and SIGINT drain and exit 0.")]
pub struct Cli {
    #[command(subcommand)]
    pub command: Option<Command>,
    #[command(flatten)]
    pub settings: Settings,
}

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Subcommand)]
pub enum Command {
    /// Count clicks and answer questions (the default)
    Serve,
    /// Make the tables and the topic that the settings name, and exit
    Migrate,
}

/// How the analytics service is to run.
#[derive(Debug, Clone, Args)]
pub struct Settings {
    /// Where questions are answered
    #[arg(long, env = "SEPTET_LISTEN", default_value = "127.0.0.1:8082", value_name = "ADDRESS", global = true)]
    pub listen: SocketAddr,

    /// Where /livez, /readyz and /metrics are served
    #[arg(long, env = "SEPTET_OPS_LISTEN", default_value = "127.0.0.1:9082", value_name = "ADDRESS", global = true)]
    pub ops_listen: SocketAddr,

    /// The topic that clicks come from: `kafka://host:9092,host:9092/topic`
    #[arg(long, env = "SEPTET_CLICKS", hide_env_values = true, value_name = "URL", global = true)]
    pub clicks: Option<Hidden>,

    /// A file with properties of librdkafka, for logins and certificates: `name=value` on each line, taken as it is
    #[arg(long, env = "SEPTET_KAFKA_PROPERTIES", value_name = "FILE", global = true)]
    pub kafka_properties: Option<PathBuf>,

    /// The consumer group: whoever is in it shares the partitions of the topic
    #[arg(long, env = "SEPTET_GROUP", default_value = "septet-analytics", value_name = "NAME", global = true)]
    #[arg(value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub group: String,

    #[command(flatten)]
    pub rollups: RollupsSettings,

    /// How many copies are kept of everything; counts when `migrate` makes something
    #[arg(long, env = "SEPTET_REPLICATION_FACTOR", default_value_t = 3, value_name = "COUNT", global = true)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=16))]
    pub replication_factor: u32,

    /// How many partitions the topic has, and so how many consumers share the work at most; counts when `migrate` makes it
    #[arg(long, env = "SEPTET_PARTITIONS", default_value_t = 32, value_name = "COUNT", global = true)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=i64::from(PARTITIONS_MAX)))]
    pub partitions: u32,

    /// How long Kafka keeps a click, in milliseconds: for longer, counting must not be away; counts when `migrate` makes the topic
    #[arg(long, env = "SEPTET_CLICKS_RETENTION_MS", default_value_t = CLICKS_RETENTION_MS, value_name = "MS")]
    #[arg(value_parser = clap::value_parser!(u64).range(CLICKS_RETENTION_MS_MIN..=i64::MAX as u64), global = true)]
    pub clicks_retention_ms: u64,

    /// The secret that askers prove themselves with, of 24 characters or more; without one, only this machine is answered
    #[arg(long, env = "SEPTET_ANALYTICS_SECRET", hide_env_values = true, value_name = "SECRET", global = true)]
    pub analytics_secret: Option<Hidden>,

    /// A file that holds the secret
    #[arg(long, env = "SEPTET_ANALYTICS_SECRET_FILE", value_name = "FILE", conflicts_with = "analytics_secret")]
    #[arg(global = true)]
    pub analytics_secret_file: Option<PathBuf>,

    /// The most memory that rows may take which are kept to be counted into again, in bytes; beyond it, they are read again
    #[arg(long, env = "SEPTET_ROLLUP_CACHE_MAX_BYTES", default_value_t = 128 << 20, value_name = "BYTES")]
    #[arg(value_parser = clap::value_parser!(u64).range(ROLLUP_CACHE_BYTES_MIN..=1 << 40), global = true)]
    pub rollup_cache_max_bytes: u64,

    /// How long after a click came it is committed at the latest, in milliseconds; longer writes less, and answers are older
    #[arg(long, env = "SEPTET_COMMIT_INTERVAL_MS", default_value_t = 400, value_name = "MS", global = true)]
    #[arg(value_parser = clap::value_parser!(u64).range(10..=60_000))]
    pub commit_interval_ms: u64,

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

    /// What is logged: a level (error, warn, info, debug, trace), or directives such as info,analytics=debug
    #[arg(
        long,
        env = "SEPTET_LOG",
        default_value = "info,actix_server=warn,actix_http=off,scylla=warn,scylla::network::connection=error,librdkafka=error",
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
    #[error("--clicks is missing: kafka://HOST:PORT,HOST:PORT/TOPIC")]
    NoClicks,
    #[error("--clicks {0}")]
    Clicks(#[from] KafkaUrlError),
    #[error("--kafka-properties {0}")]
    Properties(#[from] PropertiesError),
    #[error("--rollups is missing: scylla://HOST:PORT,HOST:PORT/KEYSPACE, or sqlite:FILE on one machine")]
    NoRollups,
    #[error(
        "--rollups: this build has no store of that kind; it has scylla://HOST:PORT,HOST:PORT/KEYSPACE and sqlite:FILE"
    )]
    UnknownRollups,
    #[error("--rollups {0}")]
    Rollups(#[from] CqlUrlError),
    #[error("--detail-days-kept and --days-kept: {0}")]
    Retention(#[from] RetentionError),
    #[error("{0} is for scylla://; a sqlite: file keeps everything for ever: leave it out")]
    RetentionOfSqlite(&'static str),
    #[error("--rollups-password-file {path} cannot be read: {source}")]
    RollupsPasswordFile { path: String, source: std::io::Error },
    #[error("--analytics-secret {0}")]
    Secret(SecretError),
    #[error("--analytics-secret-file {0}")]
    SecretFile(SecretError),
    #[error(
        "--listen {0} can be reached from other machines, and would answer anybody: set --analytics-secret, or let --listen be a \
         loopback address such as 127.0.0.1:8082"
    )]
    OpenToAll(SocketAddr),
    #[error("--log is no filter: {0}")]
    Log(String),
}

impl Settings {
    /// What is counted, how, and where to.
    pub fn counting(&self) -> Result<Counting, SettingError> {
        Ok(Counting {
            clicks: self.clicks()?,
            group: self.group.clone(),
            rollups: self.rollups.source()?,
            consumer: ConsumerOptions {
                commit_interval: Duration::from_millis(self.commit_interval_ms),
                cache_bytes_max: usize::try_from(self.rollup_cache_max_bytes).unwrap_or(usize::MAX),
                ..ConsumerOptions::default()
            },
        })
    }

    fn clicks(&self) -> Result<KafkaOptions, SettingError> {
        let Hidden(url) = self.clicks.as_ref().ok_or(SettingError::NoClicks)?;
        let url: KafkaUrl = url.trim().parse()?;
        let properties = self.kafka_properties.as_deref().map(properties::read).transpose()?.unwrap_or_default();
        Ok(KafkaOptions { url, properties, client_id: CLIENT_ID.to_owned() })
    }

    /// How the topic is made.
    pub fn topic(&self) -> TopicSettings {
        TopicSettings {
            partitions: self.partitions,
            replication_factor: self.replication_factor,
            retention_ms: self.clicks_retention_ms,
        }
    }

    /// The secret that is set, by flag, variable or file. Without one, [`Settings::listen`] is a loopback address.
    pub fn secret(&self) -> Result<Option<Secret>, SettingError> {
        match (&self.analytics_secret, &self.analytics_secret_file) {
            (Some(Hidden(text)), _) => Secret::parse(text).map(Some).map_err(SettingError::Secret),
            (None, Some(path)) => Secret::read(path).map(Some).map_err(SettingError::SecretFile),
            (None, None) if self.listen.ip().to_canonical().is_loopback() => Ok(None),
            (None, None) => Err(SettingError::OpenToAll(self.listen)),
        }
    }

    /// How long one step of stopping may take.
    pub fn stop_timeout(&self) -> Duration {
        Duration::from_millis(self.stop_timeout_ms)
    }
}
