//! Settings of where clicks are counted and asked for.

use std::{path::PathBuf, str::FromStr};

use ::analytics::{
    client::{ClientOptions, ServiceUrl},
    secret::Secret,
};
use clap::Args;

use super::{SettingError, SqliteUrl, urls::unknown_scheme};

/// Where clicks are counted and asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AnalyticsUrl {
    Sqlite(SqliteUrl),
    /// The base URLs of analytics services that answer alike: at least one.
    Service(Vec<ServiceUrl>),
}

/// How base URLs are written.
const HTTP: &str = "http://HOST:PORT,http://HOST:PORT (or https://)";

impl FromStr for AnalyticsUrl {
    type Err = String;

    fn from_str(given: &str) -> Result<Self, String> {
        match given.split_once(':') {
            Some(("sqlite", _)) => given.parse().map(AnalyticsUrl::Sqlite),
            Some(("http" | "https", _)) => {
                // By its number, as somebody may have put a password into it.
                let parsed =
                    |(index, url)| ServiceUrl::parse(url).map_err(|error| format!("URL {} {error}", index + 1));
                given.split(',').enumerate().map(parsed).collect::<Result<_, _>>().map(AnalyticsUrl::Service)
            }
            _ => Err(unknown_scheme(given, &["sqlite:", "sqlite:FILE", HTTP])),
        }
    }
}

/// Where clicks are counted and asked for, and how that is reached.
#[derive(Debug, Clone, Args)]
pub struct AnalyticsSettings {
    /// Where clicks are counted and asked for: `sqlite:` or `sqlite:FILE` (by this process), or the base URLs of analytics services,
    /// separated by commas: `http://analytics-1:8082,http://analytics-2:8082`
    #[arg(
        id = "analytics",
        long = "analytics",
        env = "SEPTET_ANALYTICS",
        default_value = "sqlite:",
        value_name = "URL",
        global = true
    )]
    pub url: AnalyticsUrl,

    /// The secret that the analytics services know who asks by, of 24 characters or more
    #[arg(long, env = "SEPTET_ANALYTICS_SECRET", hide_env_values = true, value_name = "SECRET", global = true)]
    pub analytics_secret: Option<String>,

    /// A file that holds the analytics services' secret
    #[arg(long, env = "SEPTET_ANALYTICS_SECRET_FILE", value_name = "FILE", conflicts_with = "analytics_secret")]
    #[arg(global = true)]
    pub analytics_secret_file: Option<PathBuf>,
}

impl AnalyticsSettings {
    /// How services are asked, if clicks are counted there.
    pub fn service(&self) -> Result<Option<ClientOptions>, SettingError> {
        let AnalyticsUrl::Service(urls) = &self.url else { return Ok(None) };
        let secret = match (&self.analytics_secret, &self.analytics_secret_file) {
            (Some(secret), _) => Some(Secret::parse(secret).map_err(SettingError::AnalyticsSecret)?),
            (None, Some(path)) => Some(Secret::read(path).map_err(SettingError::AnalyticsSecretFile)?),
            (None, None) => None,
        };
        Ok(Some(ClientOptions { secret, ..ClientOptions::new(urls.clone()) }))
    }
}
