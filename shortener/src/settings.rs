//! Settings: a flag and an environment variable of one name for each, read once, checked before anything starts.

use std::{
    net::SocketAddr,
    num::NonZeroUsize,
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use actix_http::header::HeaderName;
use clap::{Args, Parser, Subcommand, ValueEnum};
use ipnet::IpNet;
use token_service::{
    client::ServiceUrl,
    secret::{Secret, SecretError},
};

use crate::destination::{Destination, Home};

/// The most that any time in the settings may be, in milliseconds.
const DAY_MS: u64 = 24 * 60 * 60 * 1000;
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Subcommand)]
pub enum Command {
    /// Serve redirects and the API (the default)
    Serve,
    /// Prepare the stores that the settings name, and exit
    Migrate,
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

    /// The link store: `sqlite:` (a file in the data directory) or `sqlite:FILE`
    #[arg(long, env = "SEPTET_LINKS", default_value = "sqlite:", value_name = "URL", global = true)]
    pub links: SqliteUrl,

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

    /// Where clicks go: `local:` (counted by this process), or `none:` (not recorded at all)
    #[arg(long, env = "SEPTET_CLICKS", default_value = "local:", value_name = "URL", global = true)]
    pub clicks: ClicksUrl,

    /// Where clicks are counted and asked for: `sqlite:` or `sqlite:FILE`
    #[arg(long, env = "SEPTET_ANALYTICS", default_value = "sqlite:", value_name = "URL", global = true)]
    pub analytics: SqliteUrl,

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

    /// How long a cached link is believed before the link store is asked again, in milliseconds; changes made through this
    /// instance are seen at once
    #[arg(long, env = "SEPTET_CACHE_TTL_MS", default_value_t = 60_000, value_name = "MS", global = true)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=DAY_MS))]
    pub cache_ttl_ms: u64,

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
        default_value = "info,actix_server=warn,actix_http=off",
        value_name = "FILTER",
        global = true
    )]
    pub log: String,

    /// How it is logged; auto: human on a terminal, JSON otherwise
    #[arg(long, env = "SEPTET_LOG_FORMAT", default_value = "auto", value_enum, value_name = "FORMAT", global = true)]
    pub log_format: LogFormat,
}

/// The form of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    Auto,
    Human,
    Json,
}

/// A SQLite file: the one in the data directory, or one of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqliteUrl(Option<PathBuf>);

impl SqliteUrl {
    /// The file's path; `name` is what it is called in the data directory.
    pub fn path(&self, data_dir: &Path, name: &str) -> PathBuf {
        self.0.clone().unwrap_or_else(|| data_dir.join(name))
    }
}

impl FromStr for SqliteUrl {
    type Err = String;

    fn from_str(url: &str) -> Result<Self, String> {
        match url.split_once(':') {
            Some(("sqlite", "")) => Ok(SqliteUrl(None)),
            Some(("sqlite", path)) => Ok(SqliteUrl(Some(path.strip_prefix("//").unwrap_or(path).into()))),
            _ => Err(unknown_scheme(url, &["sqlite:", "sqlite:FILE"])),
        }
    }
}

/// Where blocks of ids are leased.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LeasesUrl {
    Sqlite(SqliteUrl),
    /// The base URLs of one token service: at least one.
    TokenService(Vec<ServiceUrl>),
}

impl FromStr for LeasesUrl {
    type Err = String;

    fn from_str(given: &str) -> Result<Self, String> {
        let schemes: Vec<_> =
            given.split(',').map(|url| url.split_once(':').map_or(url, |(scheme, _)| scheme)).collect();
        let of_service = |scheme: &&str| matches!(*scheme, "http" | "https");
        match (schemes.iter().any(of_service), schemes.iter().all(of_service)) {
            (true, true) => {
                // By its number, as somebody may have put a password into it.
                let parsed =
                    |(index, url)| ServiceUrl::parse(url).map_err(|error| format!("URL {} {error}", index + 1));
                let urls = given.split(',').enumerate().map(parsed);
                urls.collect::<Result<_, _>>().map(LeasesUrl::TokenService)
            }
            (true, false) => Err(format!(
                "these are of different kinds; give sqlite: alone, or base URLs of one token service: {LEASES_HTTP}"
            )),
            (false, _) if schemes[0] == "sqlite" => given.parse().map(LeasesUrl::Sqlite),
            (false, _) => Err(unknown_scheme(given, &["sqlite:", "sqlite:FILE", LEASES_HTTP])),
        }
    }
}

/// How base URLs of a token service are written.
const LEASES_HTTP: &str = "http://HOST:PORT,http://HOST:PORT (or https://)";

/// Where clicks go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClicksUrl {
    Local,
    None,
}

impl FromStr for ClicksUrl {
    type Err = String;

    fn from_str(url: &str) -> Result<Self, String> {
        match url {
            "local:" => Ok(ClicksUrl::Local),
            "none:" => Ok(ClicksUrl::None),
            _ => Err(unknown_scheme(url, &["local:", "none:"])),
        }
    }
}

fn unknown_scheme(url: &str, known: &[&str]) -> String {
    let scheme = url.split_once(':').map_or(url, |(scheme, _)| scheme);
    format!("this build has no backend for {scheme:?}; it has {}", known.join(" and "))
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
    #[error("--token-service-secret {0}")]
    TokenServiceSecret(SecretError),
    #[error("--token-service-secret-file: {0}")]
    TokenServiceSecretFile(SecretError),
    #[error("--root-url {0}")]
    RootUrl(String),
    #[error("--log is no filter: {0}")]
    Log(String),
}

impl Settings {
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

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parse(args: &[&str]) -> Result<Settings, clap::Error> {
        Cli::try_parse_from([&["septet"], args].concat()).map(|cli| cli.settings)
    }

    #[test]
    fn every_flag_has_a_variable_of_its_name() {
        Cli::command().debug_assert();
        for arg in Cli::command().get_arguments() {
            let Some(long) = arg.get_long() else { continue };
            let variable = format!("SEPTET_{}", long.replace('-', "_").to_uppercase());
            assert_eq!(arg.get_env().and_then(|env| env.to_str()), Some(variable.as_str()), "--{long}");
        }
    }

    #[test]
    fn flags_go_before_and_after_the_command() {
        for args in [&["--listen", "127.0.0.1:1", "migrate"], &["migrate", "--listen", "127.0.0.1:1"]] {
            assert_eq!(parse(args).unwrap().listen.port(), 1);
        }
    }

    #[test]
    fn a_bad_setting_is_named() {
        for (args, words) in [
            (["--links", "mongodb://x"], ["--links", "\"mongodb\"", "sqlite:"]),
            (["--leases", "mysql://x/y"], ["--leases", "\"mysql\"", "http://HOST:PORT"]),
            (["--leases", "tokens-1:8081"], ["--leases", "sqlite:FILE", "http://HOST:PORT"]),
            (["--leases", "http://a,sqlite:"], ["--leases", "different kinds", "http://HOST:PORT"]),
            (["--leases", "sqlite:x,http://a"], ["--leases", "different kinds", "sqlite:"]),
            (["--leases", "http://a,,http://b"], ["--leases", "different kinds", "http://HOST:PORT"]),
            (["--leases", "http://a,http://"], ["--leases", "URL 2", "http://HOST:PORT"]),
            (["--leases", "http://u:p@a"], ["--leases", "password", "secret"]),
            (["--clicks", "kafka://x:9092/t"], ["--clicks", "\"kafka\"", "local:"]),
            (["--public-url", "localhost"], ["--public-url", "http://", "https://"]),
            (["--listen", "8080"], ["--listen", "8080", "invalid"]),
            (["--trusted-proxies", "10.0.0.0/64"], ["--trusted-proxies", "10.0.0.0/64", "network"]),
        ] {
            let message = parse(&args).unwrap_err().to_string();
            assert!(words.iter().all(|word| message.contains(word)), "{message}");
        }
    }

    #[test]
    fn leases_come_from_a_file_or_from_a_token_service() {
        let leases = |given: &str| parse(&["--leases", given]).unwrap().leases;
        assert_eq!(parse(&[]).unwrap().leases, LeasesUrl::Sqlite(SqliteUrl(None)));
        assert_eq!(leases("sqlite:a,b.db"), LeasesUrl::Sqlite(SqliteUrl(Some("a,b.db".into()))));
        let LeasesUrl::TokenService(urls) = leases("http://a:8081,https://b/tokens") else { panic!("a token service") };
        assert_eq!(urls.iter().map(ToString::to_string).collect::<Vec<_>>(), ["http://a:8081/", "https://b/tokens"]);
    }

    /// Seen to fail when the file was not read.
    #[test]
    fn the_token_service_s_secret_is_long_enough_and_may_be_in_a_file() {
        assert!(parse(&[]).unwrap().token_service_secret().unwrap().is_none());
        let with = |secret: &str| parse(&["--token-service-secret", secret]).unwrap().token_service_secret();
        assert_eq!(with(&"s".repeat(24)).unwrap().unwrap().expose(), "s".repeat(24));
        let said = with("short-secret").unwrap_err().to_string();
        assert!(said.contains("--token-service-secret must be 24") && !said.contains("short-secret"), "{said}");

        let file = tempfile::NamedTempFile::new().unwrap();
        let path = file.path().to_str().unwrap();
        let from_file = || parse(&["--token-service-secret-file", path]).unwrap().token_service_secret();
        let said = from_file().unwrap_err().to_string();
        assert!(said.contains("--token-service-secret-file") && said.contains("24"), "{said}");
        std::fs::write(path, format!("{}\n", "f".repeat(24))).unwrap();
        assert_eq!(from_file().unwrap().unwrap().expose(), "f".repeat(24));
        assert!(parse(&["--token-service-secret-file", path, "--token-service-secret", "x"]).is_err());
    }

    #[test]
    fn an_api_key_is_long_enough_to_be_one() {
        let with = |key: &str| parse(&["--api-key", key]).unwrap().api_key();
        assert!(with(&"k".repeat(24)).unwrap().is_some());
        for key in ["", "short", &"k".repeat(23), &"ü".repeat(24), "0123456789 0123456789 0123456789"] {
            assert!(with(key).is_err(), "{key}");
        }
    }
}
