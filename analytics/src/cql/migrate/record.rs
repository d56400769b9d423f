//! The record of what was applied: one row for each part and version.

use std::collections::BTreeSet;

use crate::cql::{Cql, CqlError, Kind, Statement};

const NAME: &str = "schema_migrations";

pub const TABLE: &str =
    "CREATE TABLE IF NOT EXISTS schema_migrations (part text, version int, PRIMARY KEY (part, version))";

/// Whether there is a record, as the asked node knows.
pub async fn is_there(cql: &Cql) -> Result<bool, CqlError> {
    let select = "SELECT table_name FROM system_schema.tables WHERE keyspace_name = ? AND table_name = ?";
    let select = cql.prepare(Kind::Read, select).await?;
    Ok(cql.rows(&select, (cql.keyspace(), NAME)).await?.rows_num() > 0)
}

pub struct Record<'a> {
    cql: &'a Cql,
    select: Statement,
    insert: Statement,
}

impl<'a> Record<'a> {
    pub async fn prepare(cql: &'a Cql) -> Result<Self, CqlError> {
        let insert = "INSERT INTO schema_migrations (part, version) VALUES (?, ?)";
        Ok(Record {
            cql,
            select: cql.prepare(Kind::Read, "SELECT version FROM schema_migrations WHERE part = ?").await?,
            insert: cql.prepare(Kind::Write, insert).await?,
        })
    }

    pub async fn applied(&self, part: &str) -> Result<BTreeSet<i32>, CqlError> {
        let rows = self.cql.rows(&self.select, (part,)).await?;
        let versions = rows.rows::<(i32,)>().map_err(CqlError::unreadable)?;
        versions.map(|row| row.map(|(version,)| version).map_err(CqlError::unreadable)).collect()
    }

    pub async fn add(&self, part: &str, version: i32) -> Result<(), CqlError> {
        self.cql.write(&self.insert, (part, version)).await
    }
}
