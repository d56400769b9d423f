//! What is traced, and where traces go: settings that every binary has.

use std::str::FromStr;

use clap::Args;
use url::Url;

/// Where an OTLP collector takes traces, beneath its base URL.
const TRACES_PATH: &str = "v1/traces";

/// What is traced, and where that goes.
#[derive(Debug, Clone, Args)]
pub struct TracesSettings {
    /// Where traces are sent by OTLP over HTTP: the base URL of a collector, http://collector:4318; without it, nothing is traced. Headers that
    /// it wants stand in OTEL_EXPORTER_OTLP_HEADERS
    #[arg(long, env = "SEPTET_OTLP_ENDPOINT", value_name = "URL", global = true)]
    pub otlp_endpoint: Option<Endpoint>,

    /// Which part of what comes is traced, from 0 to 1; whoever calls with an API key or a secret may decide otherwise, by a W3C traceparent
    #[arg(long, env = "SEPTET_TRACES_RATIO", default_value_t = 0.01, value_name = "RATIO", global = true)]
    #[arg(value_parser = ratio)]
    pub traces_ratio: f64,
}

fn ratio(given: &str) -> Result<f64, String> {
    given
        .parse()
        .ok()
        .filter(|ratio| (0.0..=1.0).contains(ratio))
        .ok_or_else(|| "must be a number from 0 to 1".to_owned())
}

/// Where a collector takes traces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint(Url);

/// Why something is no collector's URL.
#[derive(Debug, thiserror::Error)]
pub enum EndpointError {
    #[error("must be a URL such as http://collector:4318")]
    NoUrl,
    #[error(
        "must not hold credentials, which other users of the machine could see: they go into OTEL_EXPORTER_OTLP_HEADERS"
    )]
    Credentials,
    #[error("must end with a path")]
    Query,
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(given: &str) -> Result<Self, EndpointError> {
        let mut url = Url::parse(given).map_err(|_| EndpointError::NoUrl)?;
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return Err(EndpointError::NoUrl);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(EndpointError::Credentials);
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(EndpointError::Query);
        }
        let path = format!("{}/{TRACES_PATH}", url.path().trim_end_matches('/'));
        url.set_path(&path);
        Ok(Self(url))
    }
}

impl Endpoint {
    pub(crate) fn as_str(&self) -> &str {
        self.0.as_str()
    }

    pub(crate) fn is_https(&self) -> bool {
        self.0.scheme() == "https"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traces_go_beneath_the_base_url() {
        for (given, to) in [
            ("http://collector:4318", "http://collector:4318/v1/traces"),
            ("https://collector/otlp/", "https://collector/otlp/v1/traces"),
        ] {
            assert_eq!(given.parse::<Endpoint>().unwrap().as_str(), to);
        }
    }

    /// Seen to fail when a password was let through.
    #[test]
    fn what_is_no_base_url_is_refused() {
        for wrong in
            ["", "collector:4318", "grpc://collector:4317", "http://", "http://a:b@c", "http://c/?a", "http://c/#a"]
        {
            assert!(wrong.parse::<Endpoint>().is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_ratio_is_a_part_of_one() {
        assert_eq!(["0", "0.01", "1"].map(ratio), [Ok(0.0), Ok(0.01), Ok(1.0)]);
        for wrong in ["", "-0.1", "1.01", "NaN", "inf", "1%"] {
            assert!(ratio(wrong).is_err(), "{wrong:?}");
        }
    }
}
