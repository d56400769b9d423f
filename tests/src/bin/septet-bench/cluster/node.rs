//! The node that both sides use, and what it says of their work.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, ensure};
use scylla::value::{CqlValue, Row};
use septet_tests::{
    bench::cassandra::{self, number, text},
    engines::cassandra::CommitLog,
    keyspace::Keyspace,
};
use tokio::runtime::Runtime;

use super::Work;

/// A Cassandra with a keyspace for each side.
pub struct Node {
    cassandra: cassandra::Node,
    pub septet: Keyspace,
    pub bare: Keyspace,
}

impl Node {
    /// On `core` alone, if there is one.
    pub fn start(runtime: &Runtime, periodic: bool, core: Option<usize>) -> Result<Self> {
        let commit_log = if periodic { CommitLog::Periodic } else { CommitLog::Batch };
        let cassandra = cassandra::Node::start(runtime, commit_log, core)?;
        let nodes = cassandra.contact_point();
        Ok(Node { septet: Keyspace::new(&nodes, 1), bare: Keyspace::new(&nodes, 1), cassandra })
    }

    pub fn pid(&self) -> u32 {
        self.cassandra.pid()
    }

    /// When it answers a write, as it says itself.
    pub fn commit_log(&self, runtime: &Runtime) -> Result<String> {
        runtime.block_on(self.cassandra.commit_log())
    }

    /// Writes or reads of each table of a keyspace so far.
    pub async fn statements(&self, work: Work, keyspace: &Keyspace) -> Result<BTreeMap<String, f64>> {
        match work {
            Work::Creations => self.cassandra.writes(keyspace.name()).await,
            Work::Misses => self.cassandra.reads(keyspace.name()).await,
        }
    }

    /// Some of the links that septet has made.
    pub async fn links(&self, links: usize) -> Result<Vec<(i64, String)>> {
        let select = format!("SELECT id, key FROM {}.links LIMIT {links}", self.septet.name());
        let rows = self.cassandra.rows(&select).await?;
        rows.iter().map(|row| Ok((number(row, 0)?, text(row, 1)?))).collect()
    }

    /// Sees to it that the bare driver does what septet does: it sends statements that septet has prepared, and its rows have values where
    /// septet's have, under the same timestamp.
    pub async fn check_sameness(&self, statements: &[String]) -> Result<()> {
        let prepared =
            self.cassandra.rows("SELECT query_string, logged_keyspace FROM system.prepared_statements").await?;
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
        let link = self.cassandra.rows(&format!("SELECT * FROM {}.links LIMIT 1", keyspace.name())).await?;
        let written =
            self.cassandra.rows(&format!("SELECT WRITETIME(url) FROM {}.links LIMIT 1", keyspace.name())).await?;
        let (link, mut written) = link.into_iter().zip(written).next().context("a link")?;
        Ok((link.columns.iter().map(Option::is_some).collect(), written.columns.remove(0)))
    }
}
