//! What the link store in ScyllaDB counts: each metric is named, described and recorded here.

use metrics::{counter, describe_counter};

use crate::store::StoreError;

/// Counter: attempts of others that were ended so that their name could be taken. A few follow a crash; many say that creations
/// and changes do not end in time.
const FENCED: &str = "septet_links_attempts_ended_total";
/// Counter: operations given up after their last round, by `operation`: take_name, end_attempt, find_name, record, create, delete.
const ROUNDS_SPENT: &str = "septet_links_rounds_spent_total";
/// Counter: what was left to tidy up behind a write that is done, by `what`: name, listing, record. It misleads nobody and
/// takes its place.
const LEFT_BEHIND: &str = "septet_links_left_behind_total";

pub(super) fn describe() {
    // An alert on a rate needs the counter to be there before it first counts.
    counter!(FENCED).increment(0);
    describe_counter!(
        FENCED,
        "Unfinished creations and changes that were ended, so that another could have their name"
    );
    describe_counter!(ROUNDS_SPENT, "Operations on links given up after their last round, by operation");
    describe_counter!(LEFT_BEHIND, "Names, listing entries and records not tidied up behind a write, by what they are");
}

pub(super) fn fenced() {
    counter!(FENCED).increment(1);
}

/// An operation that lost to others in every round.
pub(super) fn rounds_spent(operation: &'static str) -> StoreError {
    counter!(ROUNDS_SPENT, "operation" => operation).increment(1);
    StoreError::Unavailable(format!("others were faster in every round of {operation}").into())
}

/// Nothing waits for what is tidied up: that it failed is counted, and that is all.
pub(super) fn tidied(what: &'static str, outcome: Result<(), StoreError>) {
    if let Err(error) = outcome {
        counter!(LEFT_BEHIND, "what" => what).increment(1);
        tracing::debug!(%error, what, "left behind");
    }
}
