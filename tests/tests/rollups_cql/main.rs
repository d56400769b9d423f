//! Rollups in a real Cassandra: the suites of every implementation, and what only a cluster can do.

mod columns;
mod counting;
mod cut_off;
mod keyspace;
mod many_rows;
mod open;
mod retention;
mod zombies;

mod suites {
    use analytics::conformance;

    use crate::keyspace::{ALL_APART, Keyspace};

    /// Seen to fail when totals had the time of day as timestamp, when a progress with fewer logs did not win, when one partition of several was
    /// read, and when one row of a partition was.
    #[tokio::test(flavor = "multi_thread")]
    #[ignore = "needs Cassandra: run by tests/run"]
    async fn conforms_as_rollups() {
        conformance::rollups::suite(&mut Keyspace::new().await).await;
    }

    /// Seen to fail when one partition of several was read, and when one row of a partition was.
    #[tokio::test(flavor = "multi_thread")]
    #[ignore = "needs Cassandra: run by tests/run"]
    async fn conforms_as_queries() {
        conformance::queries::suite(&mut Keyspace::new().await).await;
    }

    /// Seen to fail when the columns of a statement were given the values of another.
    #[tokio::test(flavor = "multi_thread")]
    #[ignore = "needs Cassandra: run by tests/run"]
    async fn conforms_with_rows_that_end_in_three_steps() {
        let mut keyspace = Keyspace::keeping(ALL_APART).await;
        conformance::rollups::suite(&mut keyspace).await;
        conformance::queries::suite(&mut keyspace).await;
    }
}
