//! What the driver counts, as metrics.

use std::{
    sync::{Once, Weak},
    time::Duration,
};

use metrics::{counter, describe_counter, describe_gauge, gauge};
use tokio::time::sleep;

use super::Cql;

const REQUESTS: &str = "septet_cql_requests_total";
const ERRORS: &str = "septet_cql_errors_total";
const RETRIES: &str = "septet_cql_retries_total";
const TIMEOUTS: &str = "septet_cql_timeouts_total";
const CONNECTIONS: &str = "septet_cql_connections";
const CONNECTION_TIMEOUTS: &str = "septet_cql_connection_timeouts_total";
const LATENCY_MS: &str = "septet_cql_latency_ms";

fn describe() {
    describe_counter!(REQUESTS, "Requests sent to nodes; a statement that is sent again is another one");
    describe_counter!(ERRORS, "Requests that a node refused, or that broke off");
    describe_counter!(RETRIES, "Requests that were sent again after a failure");
    describe_counter!(TIMEOUTS, "Statements that were given up, as nobody had answered in time");
    describe_gauge!(CONNECTIONS, "Connections to the nodes");
    describe_counter!(CONNECTION_TIMEOUTS, "Connections that nodes did not accept in time");
    describe_gauge!(LATENCY_MS, "Time to an answer since the start of the process, in milliseconds, by quantile");
}

/// How often what the driver counts is shown: it takes some 0.1 ms, most of it for the quantiles.
const SHOWN_EVERY: Duration = Duration::from_secs(2);

/// Shows what the driver of this session counts, for as long as it is there. The driver counts whole milliseconds, and never forgets: a quantile
/// is one of all answers since the start.
pub fn show(session: Weak<Cql>) {
    tokio::spawn(async move {
        while let Some(cql) = session.upgrade() {
            show_now(&cql);
            drop(cql);
            sleep(SHOWN_EVERY).await;
        }
    });
}

fn show_now(cql: &Cql) {
    static DESCRIBED: Once = Once::new();
    DESCRIBED.call_once(describe);
    let counted = cql.metrics();
    counter!(REQUESTS).absolute(counted.get_requests_unpaged_num());
    counter!(ERRORS).absolute(counted.get_errors_unpaged_num());
    counter!(RETRIES).absolute(counted.get_retries_num());
    counter!(TIMEOUTS).absolute(counted.get_request_timeouts());
    counter!(CONNECTION_TIMEOUTS).absolute(counted.get_connection_timeouts());
    gauge!(CONNECTIONS).set(number(counted.get_total_connections()));
    // An error: nothing has been answered yet.
    if let Ok(latency) = counted.get_snapshot() {
        for (quantile, latency_ms) in [
            ("0.5", latency.median),
            ("0.95", latency.percentile_95),
            ("0.99", latency.percentile_99),
            ("0.999", latency.percentile_99_9),
        ] {
            gauge!(LATENCY_MS, "quantile" => quantile).set(number(latency_ms));
        }
    }
}

#[allow(clippy::cast_precision_loss)] // Exact up to 2^53.
fn number(counted: u64) -> f64 {
    counted as f64
}
