//! Settings: a flag and an environment variable of one name for each, read once, checked before anything starts.

mod analytics;
mod clicks;
mod links;
#[cfg(test)]
mod tests;
mod urls;

use std::{net::SocketAddr, num::NonZeroUsize, path::PathBuf, time::Duration};

use ::analytics::{
    cql::CqlUrl,
    kafka::{KafkaUrlError, properties::PropertiesError},
};
use actix_http::header::HeaderName;
use clap::{Args, Parser, Subcommand, ValueEnum};
use ipnet::IpNet;
use token_service::secret::{Secret, SecretError};
use traces::TracesSettings;
use url::Url;

pub use self::{
    analytics::{AnalyticsSettings, AnalyticsUrl},
    clicks::{ClicksSettings, Topics},
    links::LinksSettings,
    urls::{ClicksUrl, LeasesUrl, LinksUrl, SqliteUrl},
};
use crate::destination::{Destination, Home};

/// The most that any time in the settings may be, in milliseconds.
const DAY_MS: u64 = 24 * 60 * 60 * 1000;
/// How long a cached link is believed by an instance that has its link store for itself, or hears the others who write to it.
const CACHE_TTL_ALONE: Duration = Duration::from_secs(60);
/// And by one that shares it, and hears nobody.
const CACHE_TTL_SHARED: Duration = Duration::from_secs(2);
/// The least that the click log may be limited to, in bytes: it holds the segments of as many workers as there may be.
const CLICK_LOG_BYTES_MIN: u64 = 16 << 20;

/// The command line.
#[derive(Debug, Parser)]
#[command(name = "septet", version, about = "A URL shortener: one binary on a laptop, stateless instances at scale.")]
#[command(after_help = "Every flag is also an environment variable: --data-dir is SEPTET_DATA_DIR.\n\
    SIGTERM and SIGINT drain and exit 0.")]
pub struct Cli {
    #[command(subcommand)]
    pub command: Option<Command>,
    #[command(flatten)]
    pub settings: Settings,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum Command {
    /// Serve redirects and the API (the default)
    Serve,
    /// Prepare the stores that the settings name, and exit
    Migrate,
    /// Copy an embedded link store into a keyspace of ScyllaDB or Cassandra, and exit; a copy that was cut off goes on
    Copy(CopyArgs),
    /// Ask whether what listens at --ops-listen is ready, and exit: 0 if so, 1 if not
    Health,
    /// Make a link at a Septet that runs, open it, delete it, and exit: 0 if all of that went well, 1 if not
    Probe(ProbeArgs),
}

/// What to probe.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct ProbeArgs {
    /// Where redirects and /api are served; --api-key-file says with which key
    #[arg(long, env = "SEPTET_URL", default_value = "http://127.0.0.1:8080/", value_name = "URL")]
    pub url: Url,
}

/// What to copy.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct CopyArgs {
    /// The link store to read: `sqlite:` (the one in the data directory) or `sqlite:FILE`; nobody may serve from it meanwhile
    #[arg(long, env = "SEPTET_FROM", default_value = "sqlite:", value_name = "URL")]
    pub from: SqliteUrl,

    /// The keyspace to write, prepared by `migrate`; --links-password and the like are its own
    #[arg(long, env = "SEPTET_TO", value_name = "URL")]
    pub to: CqlUrl,
}

/// How Septet is to run.
#[derive(Debug, Clone, Args)]
pub struct Settings {
    /// Where redirects and /api are served
    #[arg(long, env = "SEPTET_LISTEN", default_value = "127.0.0.1:8080", value_name = "ADDRESS", global = true)]
    pub listen: SocketAddr,

    /// Where /livez, /readyz and /metrics are served
    #[arg(long, env = "SEPTET_OPS_LISTEN", default_value = "127.0.0.1:9080", value_name = "ADDRESS", global = true)]
    pub ops_listen: SocketAddr,

    /// Scheme and default domain of short links
    #[arg(long, env = "SEPTET_PUBLIC_URL", default_value = "http://localhost:8080", value_name = "URL", global = true)]
    #[arg(value_parser = home)]
    pub public_url: Home,

    /// Where embedded databases and the click log are kept
    #[arg(long, env = "SEPTET_DATA_DIR", default_value = "./septet-data", value_name = "DIR", global = true)]
    pub data_dir: PathBuf,

    #[command(flatten)]
    pub links: LinksSettings,

    /// Where blocks of ids are leased: `sqlite:`, `sqlite:FILE`, or the base URLs of a token service, separated by commas:
    /// `http://tokens-1:8081,http://tokens-2:8081`
    #[arg(long, env = "SEPTET_LEASES", default_value = "sqlite:", value_name = "URL", global = true)]
    pub leases: LeasesUrl,

    /// The secret that the token service knows its instances by, of 24 characters or more
    #[arg(long, env = "SEPTET_TOKEN_SERVICE_SECRET", hide_env_values = true, value_name = "SECRET", global = true)]
    pub token_service_secret: Option<String>,

    /// A file that holds the token service's secret
    #[arg(
        long,
        env = "SEPTET_TOKEN_SERVICE_SECRET_FILE",
        value_name = "FILE",
        conflicts_with = "token_service_secret"
    )]
    #[arg(global = true)]
    pub token_service_secret_file: Option<PathBuf>,

    #[command(flatten)]
    pub clicks: ClicksSettings,

    #[command(flatten)]
    pub analytics: AnalyticsSettings,

    /// An API key to accept, of 24 characters or more; without one, the first start makes one and prints it once
    #[arg(long, env = "SEPTET_API_KEY", hide_env_values = true, value_name = "KEY", global = true)]
    pub api_key: Option<String>,

    /// A file that holds the API key
    #[arg(long, env = "SEPTET_API_KEY_FILE", value_name = "FILE", conflicts_with = "api_key", global = true)]
    pub api_key_file: Option<PathBuf>,

    /// Where / redirects to
    #[arg(long, env = "SEPTET_ROOT_URL", value_name = "URL", global = true)]
    pub root_url: Option<String>,

    /// An MMDB file that tells the country and city of an address (GeoLite2, DB-IP, ...)
    #[arg(long, env = "SEPTET_GEOIP_DB", value_name = "FILE", global = true)]
    pub geoip_db: Option<PathBuf>,

    /// Proxies whose X-Forwarded-For is believed, as networks: 10.0.0.0/8,2001:db8::/32
    #[arg(long, env = "SEPTET_TRUSTED_PROXIES", value_name = "NETWORK", value_delimiter = ',', value_parser = network)]
    #[arg(global = true)]
    pub trusted_proxies: Vec<IpNet>,

    /// The header in which a CDN in front names the visitor's country: CF-IPCountry
    #[arg(long, env = "SEPTET_COUNTRY_HEADER", value_name = "HEADER", global = true)]
    pub country_header: Option<HeaderName>,

    /// Threads that serve requests [default: one for each CPU this process may use]
    #[arg(long, env = "SEPTET_WORKERS", value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..=512))]
    #[arg(global = true)]
    pub workers: Option<u16>,

    /// The most memory that cached links may take, in bytes
    #[arg(long, env = "SEPTET_CACHE_MAX_BYTES", default_value_t = 256 << 20, value_name = "BYTES", global = true)]
    pub cache_max_bytes: u64,

    /// How long a cached link is believed before the link store is asked again, in milliseconds: so late are changes seen that other
    /// instances make; those made through this one are seen at once [default: 60000, and 2000 with links in scylla:// and clicks not in kafka://, by which
    /// instances hear of each other's changes]
    #[arg(long, env = "SEPTET_CACHE_TTL_MS", value_name = "MS", global = true)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=DAY_MS))]
    pub cache_ttl_ms: Option<u64>,

    /// The most disk that clicks not yet counted may take, in bytes; beyond it, redirects go on and clicks are dropped,
    /// which septet_clicks_dropped_total counts
    #[arg(long, env = "SEPTET_CLICK_LOG_MAX_BYTES", default_value_t = 1 << 30, value_name = "BYTES", global = true)]
    #[arg(value_parser = clap::value_parser!(u64).range(CLICK_LOG_BYTES_MIN..))]
    pub click_log_max_bytes: u64,

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

    /// What is logged: a level (error, warn, info, debug, trace), or directives such as info,shortener=debug
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

fn home(given: &str) -> Result<Home, String> {
    Home::parse(given).map_err(|error| error.to_string())
}

fn network(given: &str) -> Result<IpNet, String> {
    let host = |address: std::net::IpAddr| IpNet::from(address);
    given
        .parse::<IpNet>()
        .or_else(|_| given.parse().map(host))
        .map_err(|_| "must be an address or a network such as 10.0.0.0/8".to_owned())
}

/// The shortest API key that is accepted, in characters.
pub const API_KEY_CHARS_MIN: usize = 24;

/// A setting that makes no sense, in a sentence.
#[derive(Debug, thiserror::Error)]
pub enum SettingError {
    #[error("--api-key must be {API_KEY_CHARS_MIN} characters or more, of printable ASCII without spaces")]
    ApiKey,
    #[error("--api-key-file {path} cannot be read: {source}")]
    ApiKeyFile { path: String, source: std::io::Error },
    #[error("--links-password-file {path} cannot be read: {source}")]
    LinksPasswordFile { path: String, source: std::io::Error },
    #[error("--token-service-secret {0}")]
    TokenServiceSecret(SecretError),
    #[error("--token-service-secret-file: {0}")]
    TokenServiceSecretFile(SecretError),
    #[error("--root-url {0}")]
    RootUrl(String),
    #[error("--analytics-secret {0}")]
    AnalyticsSecret(::analytics::secret::SecretError),
    #[error("--analytics-secret-file: {0}")]
    AnalyticsSecretFile(::analytics::secret::SecretError),
    #[error("--kafka-properties {0}")]
    KafkaProperties(PropertiesError),
    #[error("--changes-topic {0}")]
    ChangesTopic(KafkaUrlError),
    #[error("--changes-topic and --clicks both name the topic {0:?}: clicks and changes need one each")]
    OneTopic(String),
    #[error(
        "--clicks kafka://... and --analytics sqlite: do not go together: clicks that are sent to Kafka are counted by an analytics \
         service, so name it: --analytics http://HOST:PORT"
    )]
    NobodyToAsk,
    #[error(
        "--analytics http://... and --clicks local: do not go together: an analytics service counts what is sent to Kafka: --clicks \
         kafka://HOST:PORT/TOPIC"
    )]
    NothingToCount,
    #[error("--log is no filter: {0}")]
    Log(String),
}

impl Settings {
    /// Whether anything of this instance but clicks is kept in the data directory.
    pub fn keeps_databases(&self) -> bool {
        matches!(self.links.url, LinksUrl::Sqlite(_))
            || matches!(self.leases, LeasesUrl::Sqlite(_))
            || matches!(self.analytics.url, AnalyticsUrl::Sqlite(_))
    }

    /// Whether clicks are counted where they are asked for.
    pub fn check_clicks(&self) -> Result<(), SettingError> {
        match (&self.clicks.url, &self.analytics.url) {
            (ClicksUrl::Kafka(_), AnalyticsUrl::Sqlite(_)) => Err(SettingError::NobodyToAsk),
            (ClicksUrl::Local, AnalyticsUrl::Service(_)) => Err(SettingError::NothingToCount),
            _ => Ok(()),
        }
    }

    /// Whether other instances, who write to the same link store, tell what they change.
    pub fn hears_others(&self) -> bool {
        matches!((&self.links.url, &self.clicks.url), (LinksUrl::Scylla(_), ClicksUrl::Kafka(_)))
    }

    /// How long a cached link is believed. Where others write to the link store and are not heard, nothing else tells of their changes.
    pub fn cache_ttl(&self) -> Duration {
        let default = match self.links.url {
            LinksUrl::Scylla(_) if !self.hears_others() => CACHE_TTL_SHARED,
            LinksUrl::Sqlite(_) | LinksUrl::Scylla(_) => CACHE_TTL_ALONE,
        };
        self.cache_ttl_ms.map_or(default, Duration::from_millis)
    }

    /// The API key that is set, by flag, variable or file.
    pub fn api_key(&self) -> Result<Option<String>, SettingError> {
        let key = match (&self.api_key, &self.api_key_file) {
            (Some(key), _) => key.clone(),
            (None, Some(path)) => std::fs::read_to_string(path)
                .map_err(|source| SettingError::ApiKeyFile { path: path.display().to_string(), source })?
                .trim()
                .to_owned(),
            (None, None) => return Ok(None),
        };
        let printable = key.bytes().all(|byte| byte.is_ascii_graphic());
        if key.len() >= API_KEY_CHARS_MIN && printable { Ok(Some(key)) } else { Err(SettingError::ApiKey) }
    }

    /// The token service's secret that is set, by flag, variable or file.
    pub fn token_service_secret(&self) -> Result<Option<Secret>, SettingError> {
        match (&self.token_service_secret, &self.token_service_secret_file) {
            (Some(secret), _) => Secret::parse(secret).map(Some).map_err(SettingError::TokenServiceSecret),
            (None, Some(path)) => Secret::read(path).map(Some).map_err(SettingError::TokenServiceSecretFile),
            (None, None) => Ok(None),
        }
    }

    /// Where `/` leads.
    pub fn root_target(&self) -> Result<Option<String>, SettingError> {
        let Some(given) = &self.root_url else { return Ok(None) };
        match Destination::parse(given, &self.public_url) {
            Ok(url) => Ok(Some(url.as_str().to_owned())),
            Err(error) => Err(SettingError::RootUrl(error.to_string())),
        }
    }

    /// How many threads serve requests.
    pub fn workers(&self) -> usize {
        let available = || std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        self.workers.map_or_else(available, usize::from)
    }

    /// How long one step of stopping may take.
    pub fn stop_timeout(&self) -> Duration {
        Duration::from_millis(self.stop_timeout_ms)
    }
}
