//! The listing's metrics: each is named, described and recorded here.

use metrics::{counter, describe_counter};

/// Counter: partitions put on record. Some follow every new hour; many say that this process remembers too few.
const REGISTRATIONS: &str = "septet_listing_registrations_total";
/// Counter: entries of the listing that nothing stands behind, by `outcome`: done (deleted), failed or put_off (a later listing meets them again).
const REPAIRS: &str = "septet_listing_repairs_total";

pub(super) fn describe() {
    counter!(REGISTRATIONS).increment(0);
    describe_counter!(REGISTRATIONS, "Partitions of the listing put on record");
    describe_counter!(REPAIRS, "Entries of the listing that nothing stands behind, by what became of them");
}

pub(super) fn registered() {
    counter!(REGISTRATIONS).increment(1);
}

pub(super) fn repaired(done: bool) {
    counter!(REPAIRS, "outcome" => if done { "done" } else { "failed" }).increment(1);
}

pub(super) fn repairs_put_off(entries: usize) {
    counter!(REPAIRS, "outcome" => "put_off").increment(entries as u64);
}
