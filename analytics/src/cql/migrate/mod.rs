//! Prepares a keyspace: makes it, and applies what of the migrations has not been applied. Forward only.
//!
//! Safe to run twice, by two at once, and again after one that was cut off anywhere:
//! - [the keyspace](keyspace) is made `IF NOT EXISTS`; it has no id, so two that are made at once through two nodes are one;
//! - [the lock's table](lock) has an id of our giving, so two of these are one as well;
//! - all else is made by the holder of the lock. It has to be: two tables of one name that are made at once through two nodes of a
//!   Cassandra 5.0 get two ids, and the nodes never agree on them again;
//! - a version is [on record](record) once all of its statements are through and all nodes that are up know their outcome. One that was
//!   cut off is run again from its start.
//!
//! So each statement of a migration must bear being run again. `CREATE TABLE` is run as `CREATE TABLE IF NOT EXISTS`, `ALTER TABLE ... ADD`
//! is left out where its [columns are there](columns), and the files stay plain CQL; any other kind of statement must see to it itself.
//!
//! **On ScyllaDB**, which is told by its own tables in `system_schema`, two things differ. Schema changes are serialised by Raft there,
//! so the lock's table needs no id. And lightweight transactions need a keyspace without tablets before version 2025.4
//! ([`tablets`]). Neither was run on a ScyllaDB: the tests have Cassandra only.

mod columns;
mod keyspace;
mod lock;
mod patience;
mod record;
mod statements;
mod tablets;

use std::{collections::BTreeSet, fmt, time::Duration};

use tokio::time::{Instant, sleep};

use self::{keyspace::Placed, lock::Lock, patience::patiently, record::Record};
use super::{Cql, CqlError, CqlOptions, SchemaError, connect};

pub use keyspace::Keyspace;

/// How long one statement of a migration may take, unless the settings give it more.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(15);

/// How long nodes may take to know of each other, and of a keyspace that was just made.
const KNOWN_WITHIN: Duration = Duration::from_secs(3);
const KNOWN_PAUSE: Duration = Duration::from_millis(300);

/// One step of a schema: a file under `migrations/cql`.
#[derive(Debug, Clone, Copy)]
pub struct Migration {
    pub version: i32,
    pub cql: &'static str,
}

/// The tables of one part of Septet: several may live in one keyspace.
#[derive(Debug, Clone, Copy)]
pub struct Schema {
    /// What the record of applied migrations calls it.
    pub name: &'static str,
    /// In order of their versions, which rise from 1.
    pub migrations: &'static [Migration],
}

/// What a migration did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migrated {
    pub keyspace: Keyspace,
    /// The versions that were applied, in their order.
    pub applied: Vec<i32>,
    /// The version that the tables have now.
    pub version: i32,
}

impl fmt::Display for Migrated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; ", self.keyspace)?;
        match self.applied.len() {
            0 => write!(f, "its tables were at version {} already", self.version),
            _ => write!(f, "its tables were brought to version {}", self.version),
        }
    }
}

/// Makes the keyspace if there is none, with `replication_factor` copies of everything, and brings the tables of `schema` up to date.
/// Waits while another one is at it.
///
/// # Errors
/// A sentence for a person. What was done stays done, and the next call goes on from there.
pub async fn migrate(options: &CqlOptions, replication_factor: u32, schema: Schema) -> Result<Migrated, SchemaError> {
    let options = CqlOptions { request_timeout: options.request_timeout.max(STATEMENT_TIMEOUT), ..options.clone() };
    let began = Instant::now();
    let (cql, keyspace, is_scylla) = loop {
        match place(&options, replication_factor).await {
            // Nodes that have just started, or a keyspace that another migration is making, are not known to all nodes at once.
            Err(SchemaError::TooFewNodes { .. } | SchemaError::Cql(CqlError::Refused { .. }))
                if began.elapsed() < KNOWN_WITHIN =>
            {
                sleep(KNOWN_PAUSE).await;
            }
            placed => break placed?,
        }
    };
    let lock = Lock::take(&cql, is_scylla).await?;
    let applied = bring_up_to_date(&cql, &lock, schema).await;
    lock.release().await;
    Ok(Migrated { keyspace, applied: applied?, version: schema.newest() })
}

/// Opens a session on the keyspace, which is made if there is none.
async fn place(options: &CqlOptions, replication_factor: u32) -> Result<(Cql, Keyspace, bool), SchemaError> {
    let connected = connect::open(options).await?;
    let Placed { keyspace, is_scylla } = keyspace::ensure(&connected, &options.url, replication_factor).await?;
    connect::use_keyspace(&connected.session, &options.url).await?;
    Ok((Cql::on(connected, options), keyspace, is_scylla))
}

async fn bring_up_to_date(cql: &Cql, lock: &Lock<'_>, schema: Schema) -> Result<Vec<i32>, SchemaError> {
    define(cql, lock, record::TABLE).await?;
    let record = patiently(|| async { Ok(Record::prepare(cql).await?) }).await?;
    let applied = patiently(|| async { Ok(record.applied(schema.name).await?) }).await?;
    let missing = schema.missing(cql.keyspace(), &applied)?;
    for migration in &missing {
        tracing::info!(part = schema.name, version = migration.version, "applying a migration");
        for statement in statements::of(migration.cql) {
            define(cql, lock, &statement).await?;
        }
        patiently(|| async { Ok(record.add(schema.name, migration.version).await?) }).await?;
    }
    Ok(missing.iter().map(|migration| migration.version).collect())
}

async fn define(cql: &Cql, lock: &Lock<'_>, statement: &str) -> Result<(), SchemaError> {
    patiently(|| async {
        lock.renew().await?;
        match columns::are_there(cql, statement).await? {
            true => cql.agreement().await,
            false => cql.define(statement).await,
        }
    })
    .await
}

/// Tells whether the tables of a keyspace are those of this version.
///
/// # Errors
/// A sentence for a person: [`SchemaError::NotMigrated`], [`SchemaError::Newer`], or why nobody knows.
pub async fn check(cql: &Cql, schema: Schema) -> Result<(), SchemaError> {
    let applied = if record::is_there(cql).await? {
        Record::prepare(cql).await?.applied(schema.name).await?
    } else {
        BTreeSet::new()
    };
    match schema.missing(cql.keyspace(), &applied)?.is_empty() {
        true => Ok(()),
        false => Err(SchemaError::NotMigrated { keyspace: cql.keyspace().to_owned(), part: schema.name }),
    }
}

impl Schema {
    fn newest(&self) -> i32 {
        self.migrations.iter().map(|migration| migration.version).max().unwrap_or_default()
    }

    /// What is yet to be applied; refused if more was applied than this version knows.
    fn missing(&self, keyspace: &str, applied: &BTreeSet<i32>) -> Result<Vec<Migration>, SchemaError> {
        if let Some(&version) = applied.last().filter(|last| **last > self.newest()) {
            return Err(SchemaError::Newer { keyspace: keyspace.to_owned(), part: self.name, version });
        }
        Ok(self.migrations.iter().filter(|migration| !applied.contains(&migration.version)).copied().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: Schema =
        Schema { name: "links", migrations: &[Migration { version: 1, cql: "" }, Migration { version: 2, cql: "" }] };

    /// Seen to fail when a newer version counted as an applied one, and when only the last version was looked at.
    #[test]
    fn what_is_missing_is_applied_and_what_is_newer_is_refused() {
        let missing = |applied: &[i32]| {
            let missing = TWO.missing("ks", &applied.iter().copied().collect());
            missing.map(|missing| missing.iter().map(|migration| migration.version).collect::<Vec<_>>())
        };
        assert_eq!(missing(&[]).unwrap(), [1, 2]);
        assert_eq!(missing(&[2]).unwrap(), [1]);
        assert!(missing(&[1, 2]).unwrap().is_empty());
        let newer = missing(&[1, 2, 3]).unwrap_err();
        assert_eq!(
            newer.to_string(),
            "the keyspace ks was migrated by a newer version (links 3): start that one, or a later one"
        );
        assert!(!newer.is_transient());
    }
}
