//! Links in a real Cassandra: the suite of every implementation, and what only a cluster can do.

mod access;
mod api_key_faults;
mod born;
mod claim_faults;
mod cut_off;
mod durability;
mod keyspace;
mod listing;
mod migrate;
mod races;
mod stalled;
mod visitor_salts;
mod work;

use keyspace::Keyspace;

mod suite {
    use super::*;

    shortener::store_conformance!(
        ignore = "needs Cassandra: run by tests/run";
        Keyspace::new().await
    );
}
