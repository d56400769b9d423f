//! A Cassandra that is measured: its process, and what it says of its work.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use scylla::{
    client::session::Session,
    value::{CqlValue, Row},
};
use tokio::{runtime::Runtime, time::sleep};

use super::{cpu, files, pin};
use crate::{
    by_hand,
    engines::{
        Engine,
        cassandra::{Cassandra, CommitLog},
    },
};

/// How long compactions may take.
const TIDIED_WITHIN: Duration = Duration::from_secs(600);
const TIDIED_LOOK: Duration = Duration::from_millis(200);

/// One node.
pub struct Node {
    cassandra: Cassandra,
    session: Session,
}

impl Node {
    /// On `core` alone, if there is one.
    ///
    /// # Errors
    /// When there is no such core, or the node answers nobody.
    pub fn start(runtime: &Runtime, commit_log: CommitLog, core: Option<usize>) -> Result<Self> {
        let start = || Cassandra::start_with(commit_log);
        let cassandra = match core {
            Some(core) => pin::on_core(core, start).with_context(|| format!("core {core}"))?,
            None => start(),
        };
        let session = runtime.block_on(by_hand::cql(&cassandra.contact_point()))?;
        Ok(Node { cassandra, session })
    }

    /// What a client is told: `host:port`.
    pub fn contact_point(&self) -> String {
        self.cassandra.contact_point()
    }

    pub fn pid(&self) -> u32 {
        cpu::pid_of(&self.cassandra)
    }

    /// When it answers a write, as it says itself.
    ///
    /// # Errors
    /// When it does not answer, as of everything that it is asked.
    pub async fn commit_log(&self) -> Result<String> {
        let select = "SELECT value FROM system_views.settings WHERE name = 'commitlog_sync'";
        text(self.rows(select).await?.first().context("it says how it writes its commit log")?, 0)
    }

    /// Reads of each table of a keyspace so far.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn reads(&self, keyspace: &str) -> Result<BTreeMap<String, f64>> {
        self.statements("local_read_latency", keyspace).await
    }

    /// Writes of each table of a keyspace so far.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn writes(&self, keyspace: &str) -> Result<BTreeMap<String, f64>> {
        self.statements("local_write_latency", keyspace).await
    }

    async fn statements(&self, view: &str, keyspace: &str) -> Result<BTreeMap<String, f64>> {
        let rows = self.rows(&format!("SELECT keyspace_name, table_name, count FROM system_views.{view}")).await?;
        let mut counts = BTreeMap::new();
        for row in rows {
            if text(&row, 0)? == keyspace {
                counts.insert(text(&row, 1)?, number(&row, 2)? as f64);
            }
        }
        Ok(counts)
    }

    /// Waits until it compacts nothing any more.
    ///
    /// # Errors
    /// When that takes longer than ten minutes.
    pub async fn tidied(&self) -> Result<()> {
        let deadline = Instant::now() + TIDIED_WITHIN;
        while !self.rows("SELECT task_id FROM system_views.sstable_tasks").await?.is_empty() {
            ensure!(Instant::now() < deadline, "Cassandra compacts for longer than {TIDIED_WITHIN:?}");
            sleep(TIDIED_LOOK).await;
        }
        Ok(())
    }

    /// The rows that a statement answers.
    ///
    /// # Errors
    /// When it fails.
    pub async fn rows(&self, statement: &str) -> Result<Vec<Row>> {
        by_hand::cql_rows(&self.session, statement).await
    }

    /// Stops it in order, upon which it writes everything to its files.
    pub fn stop(&mut self) {
        self.cassandra.stop();
    }

    /// Bytes of all rows of a keyspace that are in files: compressed, and each row as often as its versions were not compacted yet.
    ///
    /// # Errors
    /// When there is no such keyspace.
    pub fn row_bytes(&self, keyspace: &str) -> Result<u64> {
        files::bytes(&self.cassandra.server().data().join("data").join(keyspace), "-Data.db")
    }
}

/// A column that holds a text.
///
/// # Errors
/// When it does not.
pub fn text(row: &Row, column: usize) -> Result<String> {
    Ok(value(row, column).and_then(CqlValue::as_text).context("a text")?.clone())
}

/// A column that holds a `bigint`.
///
/// # Errors
/// When it does not.
pub fn number(row: &Row, column: usize) -> Result<i64> {
    value(row, column).and_then(CqlValue::as_bigint).context("a number")
}

fn value(row: &Row, column: usize) -> Option<&CqlValue> {
    row.columns.get(column).and_then(Option::as_ref)
}
