//! A keyspace of a test's own, prepared as an operator prepares one.

use std::{path::Path, thread, time::Duration};

use anyhow::{Context, Result};
use futures::future::try_join_all;

use crate::{
    binary, by_hand,
    engines::unique_name,
    process::{Ended, Launch},
};

/// How long making tables may take: several nodes agree on each.
const MIGRATED_WITHIN: Duration = Duration::from_secs(120);

/// Which migrations were applied stands in this table.
const MIGRATIONS: &str = "schema_migrations";

/// A keyspace with the tables of the link store.
#[derive(Debug)]
pub struct Keyspace {
    nodes: String,
    name: String,
}

impl Keyspace {
    /// A new one in the cluster of `nodes`, which are written `host:port,host:port`; `copies` of everything.
    ///
    /// # Panics
    /// When `septet migrate` fails.
    pub fn new(nodes: &str, copies: u32) -> Self {
        let keyspace = Self { nodes: nodes.into(), name: unique_name("links") };
        let scratch = tempfile::tempdir().expect("a directory for temporary files");
        let migrated = keyspace.migrate(scratch.path(), copies);
        assert!(migrated.status.success(), "{}", migrated.stderr_text());
        keyspace
    }

    fn migrate(&self, scratch: &Path, copies: u32) -> Ended {
        Launch::new(binary::septet(), scratch)
            .flag("--data-dir", scratch)
            .flag("--links", self.url())
            .flag("--links-timeout-ms", "10000")
            .flag("--replication-factor", copies.to_string())
            .run_to_end_within("migrate", MIGRATED_WITHIN)
    }

    /// As `--links` takes it.
    pub fn url(&self) -> String {
        format!("scylla://{}/{}", self.nodes, self.name)
    }

    /// The nodes it was made through.
    pub fn nodes(&self) -> &str {
        &self.nodes
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// Removes everything that was written; the tables stay.
    ///
    /// # Panics
    /// When that fails.
    pub fn empty(&self) {
        // On a thread of its own: the caller may or may not be in an async runtime.
        let run = || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(self.truncate_all())
        };
        let emptied = thread::scope(|scope| scope.spawn(run).join().expect("the thread hands on its errors"));
        emptied.unwrap_or_else(|error| panic!("{}: {error:#}", self.url()));
    }

    async fn truncate_all(&self) -> Result<()> {
        let session = by_hand::cql(&self.nodes).await?;
        let tables = format!("SELECT table_name FROM system_schema.tables WHERE keyspace_name = '{}'", self.name);
        let mut truncations = Vec::new();
        for row in by_hand::cql_rows(&session, &tables).await? {
            let table = row.columns[0].as_ref().and_then(|name| name.as_text()).context("a table has a name")?;
            if table != MIGRATIONS {
                truncations.push(format!("TRUNCATE {}.{table}", self.name));
            }
        }
        try_join_all(truncations.iter().map(|truncate| by_hand::cql_rows(&session, truncate))).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engines::cassandra;

    /// Seen to fail when nothing was removed, and when the record of migrations was removed as well.
    #[tokio::test(flavor = "multi_thread")]
    #[ignore = "needs Cassandra: run by tests/run"]
    async fn an_emptied_keyspace_is_as_good_as_new() {
        let keyspace = Keyspace::new(cassandra::shared(), 1);
        let session = by_hand::cql(keyspace.nodes()).await.unwrap();
        let rows = async |table: &str| {
            let rows = by_hand::cql_rows(&session, &format!("SELECT * FROM {}.{table}", keyspace.name)).await;
            rows.unwrap().len()
        };
        let applied = rows(MIGRATIONS).await;
        by_hand::cql_rows(&session, &format!("INSERT INTO {}.links (id) VALUES (1)", keyspace.name)).await.unwrap();
        assert_eq!(rows("links").await, 1);
        keyspace.empty();
        assert_eq!(rows("links").await, 0);
        assert_eq!(rows(MIGRATIONS).await, applied);
    }
}
