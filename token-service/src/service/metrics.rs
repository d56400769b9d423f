//! The service's metrics: every name, what it means, and the one place where each is counted.
//!
//! Labels are routes, outcomes and states; never an owner or a path. What the databases count, they describe themselves.

use std::{convert::Infallible, sync::LazyLock, time::Duration};

use metrics::{Gauge, Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use metrics_exporter_prometheus::{BuildError, PrometheusBuilder, PrometheusHandle};

use crate::Account;

const CALLS: &str = "septet_token_calls_total";
const CALL_SECONDS: &str = "septet_token_call_seconds";
const CALLS_UNDER_WAY: &str = "septet_token_calls_under_way";
const CALLS_UNDER_WAY_MAX: &str = "septet_token_calls_under_way_max";
const CONNECTIONS: &str = "septet_token_connections";
const CONNECTIONS_MAX: &str = "septet_token_connections_max";
const BODIES_REFUSED: &str = "septet_token_bodies_refused_total";
const DATABASE_UP: &str = "septet_token_database_up";
const BLOCKS: &str = "septet_token_blocks";
const OPEN_LEASES: &str = "septet_token_open_leases";
const DAYS_LEFT: &str = "septet_token_days_left";
const ACCOUNT_BALANCED: &str = "septet_token_account_balanced";
const BUILD: &str = "septet_token_build_info";

/// Bounds of every histogram, in seconds: from a commit to a fast disk to the deadline of a call.
const SECONDS: [f64; 14] = [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0];

const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);

/// Starts recording; what it returns shows what was recorded.
pub fn start() -> Result<PrometheusHandle, BuildError> {
    let handle = PrometheusBuilder::new().set_buckets(&SECONDS)?.install_recorder()?;
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
    describe_gauge!(CALLS_UNDER_WAY, "Calls that the database has not answered yet");
    describe_gauge!(CALLS_UNDER_WAY_MAX, "Calls that may be under way; one more is refused as overloaded, with 503");
    describe_gauge!(CONNECTIONS, "Open connections of the public port");
    describe_gauge!(CONNECTIONS_MAX, "Connections that may be open; more wait to be accepted");
    describe_counter!(BODIES_REFUSED, "Calls refused for their body, by reason: too_large, too_slow");
    describe_gauge!(DATABASE_UP, "1 if the database answered when the account was last read, else 0");
    describe_gauge!(
        BLOCKS,
        "Blocks handed out, by what became of them (used, lost, in_use, returned, expired); blocks that can be leased: \
         free (they came back), and left (with those never leased)"
    );
    describe_gauge!(OPEN_LEASES, "Leases that are open");
    describe_gauge!(
        DAYS_LEFT,
        "How many days the blocks left last at the last day's rate; +Inf if nothing new was leased"
    );
    describe_gauge!(ACCOUNT_BALANCED, "1 if every block ever handed out is accounted for, else 0");
    describe_gauge!(BUILD, "1, labelled with the version");
    // An alert on a rate needs the counter to be there before it first counts.
    for reason in [TOO_LARGE, TOO_SLOW] {
        counter!(BODIES_REFUSED, "reason" => reason).increment(0);
    }
    gauge!(DATABASE_UP).set(0);
    gauge!(BUILD, "version" => env!("CARGO_PKG_VERSION")).set(1);
}

/// A reason to refuse a body.
pub const TOO_LARGE: &str = "too_large";
pub const TOO_SLOW: &str = "too_slow";

static UNDER_WAY: LazyLock<Gauge> = LazyLock::new(|| gauge!(CALLS_UNDER_WAY));
static CONNECTED: LazyLock<Gauge> = LazyLock::new(|| gauge!(CONNECTIONS));

/// `route` is the pattern that matched, never a path.
pub fn call(method: &'static str, route: String, outcome: &'static str, took: Duration) {
    histogram!(CALL_SECONDS, "method" => method, "route" => route.clone()).record(took);
    counter!(CALLS, "method" => method, "route" => route, "outcome" => outcome).increment(1);
}

pub fn calls_max(max: u32) {
    gauge!(CALLS_UNDER_WAY_MAX).set(max);
}

pub fn connections_max(max: usize) {
    gauge!(CONNECTIONS_MAX).set(max as f64);
}

pub fn body_refused(reason: &'static str) {
    counter!(BODIES_REFUSED, "reason" => reason).increment(1);
}

pub fn database_up(up: bool) {
    gauge!(DATABASE_UP).set(u8::from(up));
}

/// Shows what became of every block.
pub fn account(account: &Account) {
    let states = [
        ("used", account.used),
        ("lost", account.lost),
        ("in_use", account.in_use),
        ("returned", account.returned),
        ("expired", account.expired),
        ("free", account.free),
        ("left", account.left()),
    ];
    for (state, blocks) in states {
        gauge!(BLOCKS, "state" => state).set(blocks as f64);
    }
    gauge!(OPEN_LEASES).set(account.open_leases as f64);
    gauge!(DAYS_LEFT).set(days_left(account));
    gauge!(ACCOUNT_BALANCED).set(u8::from(account.is_balanced()));
}

/// [`Account::days_left`] with its fraction, so that hours can be told apart; infinite where nothing new was leased.
fn days_left(account: &Account) -> f64 {
    match account.first_leased_last_day {
        0 => f64::INFINITY,
        per_day => account.left() as f64 / per_day as f64,
    }
}

/// A call that is under way until it is dropped.
pub struct CallUnderWay(());

impl CallUnderWay {
    pub fn begin() -> Self {
        UNDER_WAY.increment(1);
        CallUnderWay(())
    }
}

impl Drop for CallUnderWay {
    fn drop(&mut self) {
        UNDER_WAY.decrement(1);
    }
}

/// An open connection, counted until it is dropped.
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Seen to fail when the whole days of the account were shown.
    #[test]
    fn exhaustion_within_hours_shows() {
        let left = u64::from(crate::BLOCK_COUNT);
        let account = Account { first_leased_last_day: left * 4, ..Account::default() };
        assert_eq!(days_left(&account), 0.25);
        assert_eq!(days_left(&Account::default()), f64::INFINITY);
    }
}
