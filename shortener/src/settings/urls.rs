//! The URLs by which backends are chosen.

use std::{
    path::{Path, PathBuf},
    str::FromStr,
};

use analytics::{
    cql::{CqlUrl, CqlUrlError},
    kafka::{KafkaUrl, KafkaUrlError},
};
use token_service::client::ServiceUrl;

/// A SQLite file: the one in the data directory, or one of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqliteUrl(pub(super) Option<PathBuf>);

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

/// Where links are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinksUrl {
    Sqlite(SqliteUrl),
    Scylla(CqlUrl),
}

impl FromStr for LinksUrl {
    type Err = String;

    fn from_str(given: &str) -> Result<Self, String> {
        match given.split_once(':') {
            Some(("sqlite", _)) => given.parse().map(LinksUrl::Sqlite),
            Some(("scylla", _)) => given.parse().map(LinksUrl::Scylla).map_err(|error: CqlUrlError| error.to_string()),
            _ => Err(unknown_scheme(given, &["sqlite:", "sqlite:FILE", LINKS_SCYLLA])),
        }
    }
}

/// How a keyspace is written.
const LINKS_SCYLLA: &str = "scylla://HOST:PORT,HOST:PORT/KEYSPACE";

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
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClicksUrl {
    Local,
    Kafka(KafkaUrl),
    None,
}

/// How a topic is written.
const CLICKS_KAFKA: &str = "kafka://HOST:PORT,HOST:PORT/TOPIC";

impl FromStr for ClicksUrl {
    type Err = String;

    fn from_str(url: &str) -> Result<Self, String> {
        match url {
            "local:" => Ok(ClicksUrl::Local),
            "none:" => Ok(ClicksUrl::None),
            _ if url.starts_with("kafka:") => {
                url.parse().map(ClicksUrl::Kafka).map_err(|error: KafkaUrlError| error.to_string())
            }
            _ => Err(unknown_scheme(url, &["local:", "none:", CLICKS_KAFKA])),
        }
    }
}

pub(super) fn unknown_scheme(url: &str, known: &[&str]) -> String {
    let scheme = url.split_once(':').map_or(url, |(scheme, _)| scheme);
    format!("this build has no backend for {scheme:?}; it has {}", known.join(" and "))
}
