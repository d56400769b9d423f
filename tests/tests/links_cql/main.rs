//! Links in a real Cassandra: the suite of every implementation, and what only a cluster can do.

mod born;
mod cut_off;
mod keyspace;
mod made_up;
mod races;
mod stalled;
mod work;

use keyspace::Keyspace;

mod suite {
    use super::*;

    shortener::store_conformance!(
        ignore = "needs Cassandra: run by tests/run";
        Keyspace::new().await
    );
}
