//! The service's metrics: every name, what it means, and the one place where each is counted. What counting counts, it describes itself.
//!
//! Labels are routes, outcomes and reasons; never a link or a path.

use std::{convert::Infallible, sync::LazyLock, time::Duration};

use metrics::{Gauge, Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};

const CALLS: &str = "septet_analytics_calls_total";
const CALL_SECONDS: &str = "septet_analytics_call_seconds";
const QUERIES_UNDER_WAY: &str = "septet_analytics_queries_under_way";
const QUERIES_UNDER_WAY_MAX: &str = "septet_analytics_queries_under_way_max";
const CONNECTIONS: &str = "septet_analytics_connections";
const CONNECTIONS_MAX: &str = "septet_analytics_connections_max";
const BODIES_REFUSED: &str = "septet_analytics_bodies_refused_total";
const BUILD: &str = "septet_analytics_build_info";

/// Bounds of histograms, in seconds: from a commit to a fast disk to a store that is long in answering.
const SECONDS: [f64; 14] = [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0];

/// Bounds of the time from a click to its count, in seconds: up to the end of an outage.
const LAG_SECONDS: [f64; 12] = [0.1, 0.2, 0.5, 1.0, 1.5, 2.0, 5.0, 10.0, 60.0, 600.0, 3_600.0, 86_400.0];
const LAG: &str = "septet_click_lag_seconds";

const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);

/// A reason to refuse a body.
pub const TOO_LARGE: &str = "too_large";
pub const TOO_SLOW: &str = "too_slow";

static UNDER_WAY: LazyLock<Gauge> = LazyLock::new(|| gauge!(QUERIES_UNDER_WAY));
static CONNECTED: LazyLock<Gauge> = LazyLock::new(|| gauge!(CONNECTIONS));

/// Starts recording; what it returns shows what was recorded.
pub fn start() -> Result<PrometheusHandle, BuildError> {
    let lag = Matcher::Full(LAG.to_owned());
    let builder = PrometheusBuilder::new().set_buckets(&SECONDS)?.set_buckets_for_metric(lag, &LAG_SECONDS)?;
    let handle = builder.install_recorder()?;
    describe();
    Ok(handle)
}

/// Keeps what is recorded from piling up between scrapes. Never ends.
pub async fn upkeep(handle: &PrometheusHandle) -> Infallible {
    loop {
        tokio::time::sleep(UPKEEP_INTERVAL).await;
        handle.run_upkeep();
    }
}

fn describe() {
    describe_counter!(CALLS, "Calls, by method, route and outcome: ok, or the code of the error");
    describe_histogram!(CALL_SECONDS, Unit::Seconds, "Time of a call, by method and route");
    describe_gauge!(QUERIES_UNDER_WAY, "Questions that are being answered");
    describe_gauge!(QUERIES_UNDER_WAY_MAX, "Questions that are answered at once; one more is refused, with 503");
    describe_gauge!(CONNECTIONS, "Open connections of the public port");
    describe_gauge!(CONNECTIONS_MAX, "Connections that may be open; more wait to be accepted");
    describe_counter!(BODIES_REFUSED, "Calls refused for their body, by reason: too_large, too_slow");
    describe_gauge!(BUILD, "1, labelled with the version");
    // An alert on a rate needs the counter to be there before it first counts.
    for reason in [TOO_LARGE, TOO_SLOW] {
        counter!(BODIES_REFUSED, "reason" => reason).increment(0);
    }
    gauge!(BUILD, "version" => env!("CARGO_PKG_VERSION")).set(1);
}

/// `route` is the pattern that matched, never a path.
pub fn call(method: &'static str, route: String, outcome: &'static str, took: Duration) {
    histogram!(CALL_SECONDS, "method" => method, "route" => route.clone()).record(took);
    counter!(CALLS, "method" => method, "route" => route, "outcome" => outcome).increment(1);
}

pub fn queries_max(max: usize) {
    gauge!(QUERIES_UNDER_WAY_MAX).set(max as f64);
}

pub fn connections_max(max: usize) {
    gauge!(CONNECTIONS_MAX).set(max as f64);
}

pub fn body_refused(reason: &'static str) {
    counter!(BODIES_REFUSED, "reason" => reason).increment(1);
}

/// A question that is being answered, until this is dropped.
pub struct QueryUnderWay(());

impl QueryUnderWay {
    pub fn begin() -> Self {
        UNDER_WAY.increment(1);
        QueryUnderWay(())
    }
}

impl Drop for QueryUnderWay {
    fn drop(&mut self) {
        UNDER_WAY.decrement(1);
    }
}

/// An open connection, until this is dropped.
pub struct Connection(());

impl Connection {
    pub fn open() -> Self {
        CONNECTED.increment(1);
        Connection(())
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        CONNECTED.decrement(1);
    }
}
