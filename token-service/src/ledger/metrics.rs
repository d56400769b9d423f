//! The ledger's metrics: each is named, described and recorded here.

use std::time::Duration;

use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};

use super::CALLS_WAITING_MAX;

/// Gauge: calls that wait for a transaction.
pub const WAITING: &str = "septet_token_calls_waiting";
/// Gauge: calls that may wait; one more is refused.
pub const WAITING_MAX: &str = "septet_token_calls_waiting_max";
/// Counter: calls refused as too many waited.
pub const REFUSED: &str = "septet_token_calls_refused_total";
/// Counter: transactions, by `outcome`: committed, or failed (no answer: it may be committed all the same).
pub const TRANSACTIONS: &str = "septet_token_transactions_total";
/// Counter: calls that transactions carried out; divided by transactions, how many go together.
pub const CARRIED_OUT: &str = "septet_token_calls_carried_out_total";
/// Histogram: how long a transaction took, with its repetitions.
pub const SECONDS: &str = "septet_token_transaction_seconds";
/// Counter: transactions that were in the way of others, and were tried again.
pub const CONFLICTS: &str = "septet_token_conflicts_total";
/// Counter: leases that expired.
pub const EXPIRED: &str = "septet_token_leases_expired_total";

pub(super) fn describe() {
    describe_gauge!(WAITING, "Calls that wait for a transaction");
    describe_gauge!(WAITING_MAX, "Calls that may wait for a transaction; one more is refused");
    describe_counter!(REFUSED, "Calls refused as too many waited");
    describe_counter!(TRANSACTIONS, "Transactions of the lease store, by outcome");
    describe_counter!(CARRIED_OUT, "Calls that were carried out, some together in one transaction");
    describe_histogram!(SECONDS, metrics::Unit::Seconds, "Time of a transaction, with its repetitions");
    describe_counter!(CONFLICTS, "Transactions tried again as others were in the way");
    describe_counter!(EXPIRED, "Leases that were not renewed in time");
    gauge!(WAITING_MAX).set(CALLS_WAITING_MAX as f64);
    for name in [REFUSED, CARRIED_OUT, CONFLICTS, EXPIRED] {
        counter!(name).increment(0);
    }
    for outcome in ["committed", "failed"] {
        counter!(TRANSACTIONS, "outcome" => outcome).increment(0);
    }
}

pub(super) fn waiting(calls: usize) {
    gauge!(WAITING).set(calls as f64);
}

pub(super) fn call_refused() {
    counter!(REFUSED).increment(1);
}

pub(super) fn batch(calls: usize, took: Duration, committed: bool) {
    counter!(TRANSACTIONS, "outcome" => if committed { "committed" } else { "failed" }).increment(1);
    if committed {
        counter!(CARRIED_OUT).increment(calls as u64);
    }
    histogram!(SECONDS).record(took);
}

pub(super) fn conflict() {
    counter!(CONFLICTS).increment(1);
}

pub(super) fn lease_expired() {
    counter!(EXPIRED).increment(1);
}
