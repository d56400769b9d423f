//! The node that both sides use, and what it says of their work.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, ensure};
use scylla::{
    client::session::Session,
    value::{CqlValue, Row},
};
use septet_tests::{
    bench::pin,
    by_hand,
    engines::{
        Engine,
        cassandra::{Cassandra, CommitLog},
    },
    keyspace::Keyspace,
};
use tokio::runtime::Runtime;

use super::Work;

/// A Cassandra with a keyspace for each side.
pub struct Node {
    cassandra: Cassandra,
    session: Session,
    pub septet: Keyspace,
    pub bare: Keyspace,
}

impl Node {
    /// On `core` alone, if there is one.
    pub fn start(runtime: &Runtime, periodic: bool, core: Option<usize>) -> Result<Self> {
        let commit_log = if periodic { CommitLog::Periodic } else { CommitLog::Batch };
        let start = || Cassandra::start_with(commit_log);
        let cassandra = core.map_or_else(|| Ok(start()), |core| pin::on_core(core, start)).context("--store-core")?;
        let nodes = cassandra.contact_point();
        let session = runtime.block_on(by_hand::cql(&nodes))?;
        Ok(Node { session, septet: Keyspace::new(&nodes, 1), bare: Keyspace::new(&nodes, 1), cassandra })
    }

    pub fn pid(&self) -> u32 {
        self.cassandra.server().pid().as_raw_nonzero().get().cast_unsigned()
    }

    /// When it answers a write, as it says itself.
    pub fn commit_log(&self, runtime: &Runtime) -> Result<String> {
        let select = "SELECT value FROM system_views.settings WHERE name = 'commitlog_sync'";
        let rows = runtime.block_on(self.rows(select))?;
        text(rows.first().context("it says how it writes its commit log")?, 0)
    }

    /// Writes or reads of each table of a keyspace so far.
    pub async fn statements(&self, work: Work, keyspace: &Keyspace) -> Result<BTreeMap<String, f64>> {
        let view = match work {
            Work::Creations => "local_write_latency",
            Work::Misses => "local_read_latency",
        };
        let rows = self.rows(&format!("SELECT keyspace_name, table_name, count FROM system_views.{view}")).await?;
        let mut counts = BTreeMap::new();
        for row in rows {
            if text(&row, 0)? == keyspace.name() {
                let count = row.columns[2].as_ref().and_then(CqlValue::as_bigint).context("a count")?;
                counts.insert(text(&row, 1)?, count as f64);
            }
        }
        Ok(counts)
    }

    /// Some of the links that septet has made.
    pub async fn links(&self, links: usize) -> Result<Vec<(i64, String)>> {
        let rows = self.rows(&format!("SELECT id, key FROM {}.links LIMIT {links}", self.septet.name())).await?;
        let link =
            |row: &Row| Ok((row.columns[0].as_ref().and_then(CqlValue::as_bigint).context("an id")?, text(row, 1)?));
        rows.iter().map(link).collect()
    }

    /// Sees to it that the bare driver does what septet does: it sends statements that septet has prepared, and its rows have values where
    /// septet's have, under the same timestamp.
    pub async fn check_sameness(&self, statements: &[String]) -> Result<()> {
        let prepared = self.rows("SELECT query_string, logged_keyspace FROM system.prepared_statements").await?;
        let own = |row: &&Row| text(row, 1).is_ok_and(|keyspace| keyspace == self.septet.name());
        let prepared: BTreeSet<_> = prepared.iter().filter(own).filter_map(|row| text(row, 0).ok()).collect();
        for statement in statements {
            ensure!(prepared.contains(statement), "septet sends other statements than the bare driver: {prepared:#?}");
        }
        let [septet, bare] = [self.shape(&self.septet).await?, self.shape(&self.bare).await?];
        ensure!(septet == bare, "septet's rows are {septet:?}, the bare driver's {bare:?}");
        Ok(())
    }

    /// Which columns of a link have a value, and when it was written.
    async fn shape(&self, keyspace: &Keyspace) -> Result<(Vec<bool>, Option<CqlValue>)> {
        let link = self.rows(&format!("SELECT * FROM {}.links LIMIT 1", keyspace.name())).await?;
        let written = self.rows(&format!("SELECT WRITETIME(url) FROM {}.links LIMIT 1", keyspace.name())).await?;
        let (link, mut written) = link.into_iter().zip(written).next().context("a link")?;
        Ok((link.columns.iter().map(Option::is_some).collect(), written.columns.remove(0)))
    }

    async fn rows(&self, statement: &str) -> Result<Vec<Row>> {
        by_hand::cql_rows(&self.session, statement).await
    }
}

fn text(row: &Row, column: usize) -> Result<String> {
    let value = row.columns.get(column).and_then(Option::as_ref);
    Ok(value.and_then(CqlValue::as_text).context("a text")?.clone())
}
