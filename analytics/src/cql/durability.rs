//! What "answered" means: what the crash of a node may cost, as far as the cluster lets it be read.
//!
//! A write is answered once a quorum of the data center's replicas has it. Whether a replica has it on disk by then is up to its commit log:
//! - `batch`, `group`: it has. What was answered survives the crash of any node, and of all at once;
//! - `periodic`, the default of both Cassandra and ScyllaDB: it has it in memory, and writes it to disk some time later. What was answered is lost
//!   if all replicas of the quorum crash within that time; where one replica is a quorum, the crash of one node is enough.
//!
//! The replication of the keyspace and the commit log's mode are read at the start: on Cassandra from `system_views.settings`, on
//! ScyllaDB from `system.config` (not run on one). That is what one node of the data center says of itself: nodes may be configured
//! differently.

use std::{collections::HashMap, fmt};

use super::{Cql, CqlError, Kind};

/// When a replica writes its commit log to disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommitLog {
    /// Before it answers: `batch` or `group`.
    BeforeAnswering,
    /// So long after it has answered, at most.
    Every { period_ms: Option<u64> },
    /// It does not say.
    Unknown,
}

/// What is known of how safe an answered write is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Durability {
    pub datacenter: String,
    /// Copies in the data center; `None` if the keyspace's replication does not say.
    pub replicas: Option<u32>,
    /// Of the node that was asked.
    pub commit_log: CommitLog,
}

const ONE_CRASH_LOSES_MS: &str = "septet_cql_one_crash_loses_ms";

/// Cassandra's default, where a node says that it is periodic and not how often.
const PERIOD_MS_DEFAULT: u64 = 10_000;

/// Asks one node.
///
/// # Errors
/// When it does not answer at all. What it does not let be read is unknown.
pub async fn durability(cql: &Cql) -> Result<Durability, CqlError> {
    let select = "SELECT replication FROM system_schema.keyspaces WHERE keyspace_name = ?";
    let select = cql.prepare(Kind::Read, select).await?;
    let rows = cql.rows(&select, (cql.keyspace(),)).await?;
    let row = rows.maybe_first_row::<(HashMap<String, String>,)>().map_err(CqlError::unreadable)?;
    let replication = row.map(|(replication,)| replication).unwrap_or_default();
    Ok(Durability {
        datacenter: cql.datacenter().to_owned(),
        replicas: replicas(&replication, cql.datacenter()),
        commit_log: commit_log(cql).await,
    })
}

/// A mode and a period. Whoever may not read settings, or finds no such table, does not know.
async fn commit_log(cql: &Cql) -> CommitLog {
    if let Some(mode) = setting(cql, "system_views.settings", "commitlog_sync").await {
        let period = setting(cql, "system_views.settings", "commitlog_sync_period").await;
        return CommitLog::read(&mode, period.as_deref());
    }
    let Some(mode) = setting(cql, "system.config", "commitlog_sync").await else { return CommitLog::Unknown };
    let period = setting(cql, "system.config", "commitlog_sync_period_in_ms").await;
    CommitLog::read(&mode, period.as_deref())
}

async fn setting(cql: &Cql, table: &str, name: &str) -> Option<String> {
    let select = cql.prepare(Kind::Read, &format!("SELECT value FROM {table} WHERE name = ?")).await.ok()?;
    let rows = cql.rows(&select, (name,)).await.ok()?;
    rows.maybe_first_row::<(Option<String>,)>().ok()??.0
}

/// Copies in a data center.
pub(super) fn replicas(replication: &HashMap<String, String>, datacenter: &str) -> Option<u32> {
    let class = replication.get("class")?;
    let copies = if class.ends_with("SimpleStrategy") { "replication_factor" } else { datacenter };
    replication.get(copies)?.parse().ok()
}

impl CommitLog {
    fn read(mode: &str, period: Option<&str>) -> Self {
        // ScyllaDB shows texts in quotes.
        match mode.trim_matches('"') {
            "batch" | "group" => CommitLog::BeforeAnswering,
            "periodic" => CommitLog::Every { period_ms: period.and_then(milliseconds) },
            _ => CommitLog::Unknown,
        }
    }
}

/// `10s`, `10000ms`, or milliseconds without a unit.
fn milliseconds(text: &str) -> Option<u64> {
    let text = text.trim_matches('"');
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let factor = match unit {
        "" | "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(factor)
}

impl Durability {
    /// Replicas that have a write when it is answered.
    pub fn quorum(&self) -> Option<u32> {
        self.replicas.map(|replicas| replicas / 2 + 1)
    }

    /// What the crash of one node may cost of what was answered, in milliseconds; 0: nothing, `None`: nobody knows.
    pub fn one_crash_loses_ms(&self) -> Option<u64> {
        match (self.commit_log, self.quorum()) {
            (CommitLog::BeforeAnswering, _) | (_, Some(2..)) => Some(0),
            (CommitLog::Every { period_ms }, Some(_)) => Some(period_ms.unwrap_or(PERIOD_MS_DEFAULT)),
            _ => None,
        }
    }

    /// Says it in the log, once, at the start, and as the metric `septet_cql_one_crash_loses_ms` (-1: nobody knows).
    pub fn announce(&self) {
        metrics::describe_gauge!(
            ONE_CRASH_LOSES_MS,
            "What of the answered writes the crash of one node of the cluster may cost, in milliseconds; -1: unknown"
        );
        let loses_ms = self.one_crash_loses_ms();
        #[allow(clippy::cast_precision_loss)] // It is some seconds.
        metrics::gauge!(ONE_CRASH_LOSES_MS).set(loses_ms.map_or(-1.0, |loses_ms| loses_ms as f64));
        match loses_ms {
            Some(0) => tracing::info!("{self}"),
            _ => tracing::warn!("{self}"),
        }
    }
}

impl fmt::Display for Durability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Durability { datacenter, .. } = self;
        match (self.replicas, self.quorum()) {
            (Some(replicas), Some(quorum)) => {
                write!(f, "a write is answered once {quorum} of {replicas} replicas in the data center {datacenter} ")?;
            }
            _ => write!(f, "a write is answered once a quorum of an unknown number of replicas ")?,
        }
        match self.commit_log {
            CommitLog::BeforeAnswering => {
                f.write_str("have it on disk: a crash costs nothing that was answered")?;
            }
            CommitLog::Unknown => {
                f.write_str("have it; when they write it to disk (commitlog_sync) they do not say, so what a crash costs is unknown")?;
            }
            CommitLog::Every { period_ms } => {
                let within = format!("{} ms", period_ms.unwrap_or(PERIOD_MS_DEFAULT));
                f.write_str("have it in memory (commitlog_sync: periodic): ")?;
                match self.quorum() {
                    Some(1) => write!(
                        f,
                        "THE CRASH OF ONE NODE LOSES what it answered in the last {within}; set commitlog_sync to batch or group, or \
                         keep 3 replicas",
                    ),
                    Some(quorum) => write!(f, "it is lost only if {quorum} of them crash within {within}"),
                    None => write!(f, "it is lost if a quorum crashes within {within}"),
                }?;
            }
        }
        f.write_str(" (as one node says of itself; others may differ)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn durability(replicas: Option<u32>, commit_log: CommitLog) -> Durability {
        Durability { datacenter: "dc1".to_owned(), replicas, commit_log }
    }

    /// Seen to fail when two replicas counted as one that may crash, and when an unknown mode counted as a safe one.
    #[test]
    fn one_crash_costs_something_where_one_replica_answers_from_memory() {
        let periodic = CommitLog::Every { period_ms: Some(500) };
        for (replicas, commit_log, loses_ms) in [
            (Some(1), CommitLog::BeforeAnswering, Some(0)),
            (None, CommitLog::BeforeAnswering, Some(0)),
            (Some(1), periodic, Some(500)),
            (Some(1), CommitLog::Every { period_ms: None }, Some(10_000)),
            (Some(2), periodic, Some(0)),
            (Some(3), CommitLog::Unknown, Some(0)),
            (Some(1), CommitLog::Unknown, None),
            (None, periodic, None),
        ] {
            assert_eq!(durability(replicas, commit_log).one_crash_loses_ms(), loses_ms, "{replicas:?} {commit_log:?}");
        }
        let said = durability(Some(1), periodic).to_string();
        assert!(said.contains("1 of 1 replicas") && said.contains("500 ms"), "{said}");
        assert!(durability(Some(3), periodic).to_string().contains("only if 2 of them crash within 500 ms"));
    }

    #[test]
    fn settings_are_read_as_either_database_writes_them() {
        for (mode, period, commit_log) in [
            ("batch", None, CommitLog::BeforeAnswering),
            ("\"batch\"", Some("10000"), CommitLog::BeforeAnswering),
            ("group", None, CommitLog::BeforeAnswering),
            ("periodic", Some("10s"), CommitLog::Every { period_ms: Some(10_000) }),
            ("periodic", Some("10000ms"), CommitLog::Every { period_ms: Some(10_000) }),
            ("\"periodic\"", Some("2000"), CommitLog::Every { period_ms: Some(2000) }),
            ("periodic", Some("soon"), CommitLog::Every { period_ms: None }),
            ("other", None, CommitLog::Unknown),
        ] {
            assert_eq!(CommitLog::read(mode, period), commit_log, "{mode} {period:?}");
        }
    }

    #[test]
    fn copies_are_counted_in_the_data_center() {
        let map = |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let network = map(&[("class", "org.apache.cassandra.locator.NetworkTopologyStrategy"), ("dc1", "3")]);
        assert_eq!((replicas(&network, "dc1"), replicas(&network, "dc2")), (Some(3), None));
        let simple = map(&[("class", "org.apache.cassandra.locator.SimpleStrategy"), ("replication_factor", "2")]);
        assert_eq!(replicas(&simple, "dc1"), Some(2));
    }
}
