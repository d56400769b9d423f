//! Settings of the link store.

use std::{path::PathBuf, time::Duration};

use analytics::cql::{CqlOptions, CqlUrl};
use clap::Args;

use super::{LinksUrl, SettingError};
use crate::store::guard::{self, TimeoutSettings};

/// The least that a call may be given, in milliseconds: whoever wants an alias that an unfinished creation holds waits for that one for 400, and
/// then does what is to be done in some round trips between nodes.
const TIMEOUT_MS_MIN: u64 = 700;
/// The most, in milliseconds: who waits for an answer has gone by then.
const TIMEOUT_MS_MAX: u64 = 60_000;

/// Where links are kept, and how they are reached.
#[derive(Debug, Clone, Args)]
pub struct LinksSettings {
    /// The link store: `sqlite:` (a file in the data directory), `sqlite:FILE`, or a keyspace of ScyllaDB or Cassandra, by some of its
    /// nodes: `scylla://host:9042,host:9042/keyspace`, or `scylla://user@...` with a password
    #[arg(
        id = "links",
        long = "links",
        env = "SEPTET_LINKS",
        default_value = "sqlite:",
        value_name = "URL",
        global = true
    )]
    pub url: LinksUrl,

    /// The password of the user that --links names
    #[arg(id = "links_password", long = "links-password", env = "SEPTET_LINKS_PASSWORD", hide_env_values = true)]
    #[arg(value_name = "PASSWORD", global = true)]
    pub password: Option<String>,

    /// A file that holds that password
    #[arg(id = "links_password_file", long = "links-password-file", env = "SEPTET_LINKS_PASSWORD_FILE")]
    #[arg(value_name = "FILE", conflicts_with = "links_password", global = true)]
    pub password_file: Option<PathBuf>,

    /// Speak to the link store over TLS, and believe the certificates in this PEM file
    #[arg(id = "links_tls_ca", long = "links-tls-ca", env = "SEPTET_LINKS_TLS_CA", value_name = "FILE", global = true)]
    pub tls_ca: Option<PathBuf>,

    /// The data center that this instance is in; needed where the link store has several
    #[arg(id = "links_datacenter", long = "links-datacenter", env = "SEPTET_LINKS_DATACENTER")]
    #[arg(value_name = "NAME", global = true)]
    pub datacenter: Option<String>,

    /// How long a look-up or a write of a ScyllaDB or Cassandra may take before it is given up and answered 503, in milliseconds; one
    /// statement of it gets half of that and a little more
    #[arg(id = "links_timeout_ms", long = "links-timeout-ms", env = "SEPTET_LINKS_TIMEOUT_MS", default_value_t = 900)]
    #[arg(value_name = "MS", value_parser = clap::value_parser!(u64).range(TIMEOUT_MS_MIN..=TIMEOUT_MS_MAX), global = true)]
    pub timeout_ms: u64,

    /// How many copies a keyspace and a topic keep of everything; counts when `migrate` makes one
    #[arg(long, env = "SEPTET_REPLICATION_FACTOR", default_value_t = 3, value_name = "COUNT", global = true)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=16))]
    pub replication_factor: u32,
}

impl LinksSettings {
    /// How to reach the keyspace at `url`.
    pub fn cql(&self, url: &CqlUrl) -> Result<CqlOptions, SettingError> {
        Ok(CqlOptions {
            url: url.clone(),
            password: self.password()?,
            tls_ca: self.tls_ca.clone(),
            datacenter: self.datacenter.clone(),
            request_timeout: self.timeout() * 5 / 9,
        })
    }

    /// What stands between callers and a store across a network.
    pub fn guard(&self) -> guard::Settings {
        let defaults = TimeoutSettings::default();
        let timeouts = TimeoutSettings {
            call_timeout: self.timeout(),
            scan_timeout: defaults.scan_timeout.max(self.timeout()),
            background_timeout: defaults.background_timeout.max(self.timeout()),
        };
        guard::Settings { timeouts, ..guard::Settings::default() }
    }

    fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms)
    }

    fn password(&self) -> Result<Option<String>, SettingError> {
        let Some(path) = &self.password_file else { return Ok(self.password.clone()) };
        let read = std::fs::read_to_string(path)
            .map_err(|source| SettingError::LinksPasswordFile { path: path.display().to_string(), source })?;
        Ok(Some(read.trim_end_matches(['\r', '\n']).to_owned()))
    }
}
