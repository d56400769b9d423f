//! Settings of the rollups store.

use std::{path::PathBuf, time::Duration};

use clap::Args;

use super::{Hidden, SettingError};
use crate::{cql::CqlOptions, rollups::cql::Retention, service::rollups::RollupsSource};

/// The least that a statement may be given, in milliseconds: a commit is a quorum of replicas.
const TIMEOUT_MS_MIN: u64 = 50;
/// The most, in milliseconds: who waits for an answer has gone by then.
const TIMEOUT_MS_MAX: u64 = 60_000;

/// Where clicks are counted, and how that is reached.
#[derive(Debug, Clone, Args)]
pub struct RollupsSettings {
    /// Where clicks are counted: a keyspace of ScyllaDB or Cassandra, by some of its nodes: `scylla://host:9042,host:9042/keyspace`, or
    /// `scylla://user@...` with a password; or `sqlite:FILE`, to try it on one machine, with one consumer alone
    #[arg(id = "rollups", long = "rollups", env = "SEPTET_ROLLUPS", hide_env_values = true, value_name = "URL")]
    #[arg(global = true)]
    url: Option<Hidden>,

    /// The password of the user that --rollups names
    #[arg(id = "rollups_password", long = "rollups-password", env = "SEPTET_ROLLUPS_PASSWORD", hide_env_values = true)]
    #[arg(value_name = "PASSWORD", global = true)]
    password: Option<Hidden>,

    /// A file that holds that password
    #[arg(id = "rollups_password_file", long = "rollups-password-file", env = "SEPTET_ROLLUPS_PASSWORD_FILE")]
    #[arg(value_name = "FILE", conflicts_with = "rollups_password", global = true)]
    password_file: Option<PathBuf>,

    /// Speak to the rollups store over TLS, and believe the certificates in this PEM file
    #[arg(id = "rollups_tls_ca", long = "rollups-tls-ca", env = "SEPTET_ROLLUPS_TLS_CA", value_name = "FILE")]
    #[arg(global = true)]
    tls_ca: Option<PathBuf>,

    /// The data center that this service is in; needed where the rollups store has several
    #[arg(id = "rollups_datacenter", long = "rollups-datacenter", env = "SEPTET_ROLLUPS_DATACENTER")]
    #[arg(value_name = "NAME", global = true)]
    datacenter: Option<String>,

    /// How long one statement of a ScyllaDB or Cassandra may take before it is given up, in milliseconds
    #[arg(id = "rollups_timeout_ms", long = "rollups-timeout-ms", env = "SEPTET_ROLLUPS_TIMEOUT_MS")]
    #[arg(default_value_t = 1_000, value_name = "MS", global = true)]
    #[arg(value_parser = clap::value_parser!(u64).range(TIMEOUT_MS_MIN..=TIMEOUT_MS_MAX))]
    timeout_ms: u64,

    /// How many days it is kept at which quarter-hour of a day was clicked, at most --days-kept; later, all of it counts at the beginning of
    /// that day in UTC [default: as long as the day]
    #[arg(long, env = "SEPTET_DETAIL_DAYS_KEPT", value_name = "DAYS", global = true)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=KEPT_DAYS_MAX))]
    detail_days_kept: Option<u32>,

    /// How many days it is kept what was clicked on which day, and by whom but for visitors; totals are kept for ever. Cassandra keeps nothing
    /// for a time that ends after 2038-01-19, unless its storage_compatibility_mode is NONE [default: for ever]
    #[arg(long, env = "SEPTET_DAYS_KEPT", value_name = "DAYS", global = true)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=KEPT_DAYS_MAX))]
    days_kept: Option<u32>,

    /// How many days it is kept who visited, in sketches that tell no visitor: most of a quiet link's row [default: for ever]
    #[arg(long, env = "SEPTET_VISITORS_DAYS_KEPT", value_name = "DAYS", global = true)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=KEPT_DAYS_MAX))]
    visitors_days_kept: Option<u32>,
}

/// The most days that rows can be given an end after: CQL's twenty years.
const KEPT_DAYS_MAX: i64 = 7_300;

fn days(days: Option<u32>) -> Option<Duration> {
    days.map(|days| Duration::from_secs(u64::from(days) * 24 * 60 * 60))
}

impl RollupsSettings {
    /// The store that is set.
    pub fn source(&self) -> Result<RollupsSource, SettingError> {
        let Hidden(url) = self.url.as_ref().ok_or(SettingError::NoRollups)?;
        match url.trim().split_once(':') {
            Some(("sqlite", path)) if !path.is_empty() => {
                self.has_no_retention()?;
                Ok(RollupsSource::Sqlite(path.strip_prefix("//").unwrap_or(path).into()))
            }
            Some(("scylla", _)) => {
                let options = CqlOptions {
                    url: url.trim().parse()?,
                    password: self.password()?,
                    tls_ca: self.tls_ca.clone(),
                    datacenter: self.datacenter.clone(),
                    request_timeout: Duration::from_millis(self.timeout_ms),
                };
                Ok(RollupsSource::Cql(Box::new(options), self.retention()?))
            }
            _ => Err(SettingError::UnknownRollups),
        }
    }

    fn has_no_retention(&self) -> Result<(), SettingError> {
        let times = [
            ("--detail-days-kept", self.detail_days_kept),
            ("--days-kept", self.days_kept),
            ("--visitors-days-kept", self.visitors_days_kept),
        ];
        match times.into_iter().find(|(_, days)| days.is_some()) {
            Some((flag, _)) => Err(SettingError::RetentionOfSqlite(flag)),
            None => Ok(()),
        }
    }

    fn retention(&self) -> Result<Retention, SettingError> {
        let retention = Retention {
            detail: days(self.detail_days_kept),
            days: days(self.days_kept),
            visitors: days(self.visitors_days_kept),
        };
        retention.check()?;
        Ok(retention)
    }

    fn password(&self) -> Result<Option<String>, SettingError> {
        let Some(path) = &self.password_file else {
            return Ok(self.password.clone().map(|Hidden(password)| password));
        };
        let read = std::fs::read_to_string(path)
            .map_err(|source| SettingError::RollupsPasswordFile { path: path.display().to_string(), source })?;
        Ok(Some(read.trim_end_matches(['\r', '\n']).to_owned()))
    }
}
