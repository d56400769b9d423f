//! The allocator's metrics: each is named, described and recorded here.

use std::time::Duration;

use metrics::{counter, describe_counter, describe_gauge, gauge};
use tokio::time::{MissedTickBehavior, interval};

use super::Shared;

/// How often the gauges follow what they measure.
const GAUGE_INTERVAL: Duration = Duration::from_secs(1);

/// Gauge: codes in the queue. Full at two blocks; at none, creation waits and then answers 503.
pub const CODES_READY: &str = "septet_codes_ready";
/// Gauge: leased blocks not claimed yet: what creation can go on with while the lease store is down.
pub const BLOCKS_LEASED: &str = "septet_blocks_leased";
/// Counter: blocks whose claim was granted.
pub const BLOCKS_GRANTED: &str = "septet_blocks_granted_total";
/// Counter: blocks that somebody else had claimed. A few follow an expired lease; many say that leases overlap.
pub const BLOCKS_REFUSED: &str = "septet_blocks_refused_total";
/// Counter: blocks skipped because the link store did not answer their claim.
pub const BLOCKS_FAILED: &str = "septet_blocks_failed_total";
/// Counter: claims put off because the link store had too much to do; the same block is claimed later.
pub const CLAIMS_PUT_OFF: &str = "septet_claims_put_off_total";
/// Counter: leases received.
pub const LEASES: &str = "septet_leases_total";
/// Counter: calls to the lease store that failed, by `operation`: lease, renew or give_back.
pub const LEASE_ERRORS: &str = "septet_lease_errors_total";
/// Counter: leases lost because they had ended for the lease store; their unclaimed blocks were dropped.
pub const LEASES_LOST: &str = "septet_leases_lost_total";
/// Counter: what was not handed back after the last attempt, by `what`: block (its unused ids are lost) or lease (it expires).
pub const HAND_BACKS_FAILED: &str = "septet_hand_backs_failed_total";
/// Counter: requests for a code that found none at hand, and waited.
pub const CODE_WAITS: &str = "septet_code_waits_total";
/// Counter: requests for a code that got none, though they waited.
pub const NO_CODES: &str = "septet_no_codes_total";

pub(super) fn describe() {
    // An alert on a rate needs the counter to be there before it first counts.
    for name in
        [BLOCKS_GRANTED, BLOCKS_REFUSED, BLOCKS_FAILED, CLAIMS_PUT_OFF, LEASES, LEASES_LOST, CODE_WAITS, NO_CODES]
    {
        counter!(name).increment(0);
    }
    describe_gauge!(CODES_READY, "Codes at hand");
    describe_gauge!(BLOCKS_LEASED, "Leased blocks that are not claimed yet");
    describe_counter!(BLOCKS_GRANTED, "Blocks claimed");
    describe_counter!(BLOCKS_REFUSED, "Blocks whose claim somebody else had");
    describe_counter!(BLOCKS_FAILED, "Blocks skipped because the link store did not answer their claim");
    describe_counter!(CLAIMS_PUT_OFF, "Claims put off because the link store had too much to do");
    describe_counter!(LEASES, "Leases received");
    describe_counter!(LEASE_ERRORS, "Calls to the lease store that failed, by operation");
    describe_counter!(LEASES_LOST, "Leases that had ended for the lease store; their unclaimed blocks were dropped");
    describe_counter!(HAND_BACKS_FAILED, "Blocks and leases not handed back after the last attempt, by what they are");
    describe_counter!(CODE_WAITS, "Requests for a code that found none at hand, and waited");
    describe_counter!(NO_CODES, "Requests for a code that got none, though they waited");
}

/// A call to the lease store, as a label.
#[derive(Debug, Clone, Copy)]
pub(super) enum Operation {
    Lease,
    Renew,
    GiveBack,
}

impl Operation {
    pub(super) fn name(self) -> &'static str {
        match self {
            Operation::Lease => "lease",
            Operation::Renew => "renew",
            Operation::GiveBack => "give_back",
        }
    }
}

/// What can be handed back, as a label.
#[derive(Debug, Clone, Copy)]
pub(super) enum HandBack {
    Block,
    Lease,
}

impl HandBack {
    fn name(self) -> &'static str {
        match self {
            HandBack::Block => "block",
            HandBack::Lease => "lease",
        }
    }
}

pub(super) fn block_granted() {
    counter!(BLOCKS_GRANTED).increment(1);
}

pub(super) fn block_refused() {
    counter!(BLOCKS_REFUSED).increment(1);
}

pub(super) fn block_failed() {
    counter!(BLOCKS_FAILED).increment(1);
}

pub(super) fn claim_put_off() {
    counter!(CLAIMS_PUT_OFF).increment(1);
}

pub(super) fn leased() {
    counter!(LEASES).increment(1);
}

pub(super) fn lease_failed(operation: Operation) {
    counter!(LEASE_ERRORS, "operation" => operation.name()).increment(1);
}

pub(super) fn lease_lost() {
    counter!(LEASES_LOST).increment(1);
}

pub(super) fn hand_back_failed(what: HandBack) {
    counter!(HAND_BACKS_FAILED, "what" => what.name()).increment(1);
}

pub(super) fn code_awaited() {
    counter!(CODE_WAITS).increment(1);
}

pub(super) fn no_codes() {
    counter!(NO_CODES).increment(1);
}

/// Sets the gauges now and then, so that taking a code does not have to.
pub(super) async fn keep_gauges(shared: &Shared) {
    let mut ticks = interval(GAUGE_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            _ = shared.stopped() => return,
        }
        gauge!(CODES_READY).set(shared.ready.len() as f64);
        gauge!(BLOCKS_LEASED).set(shared.book.lock().unclaimed_blocks() as f64);
    }
}
