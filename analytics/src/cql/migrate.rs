//! Prepares a keyspace: makes it, and applies what of the migrations has not been applied.

use scylla::client::session::Session;

use super::{
    CqlError, CqlOptions,
    connect::{self, Connected},
};

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

const RECORD: &str =
    "CREATE TABLE IF NOT EXISTS schema_migrations (part text, version int, PRIMARY KEY (part, version))";

/// Makes the keyspace if there is none, with `replication_factor` copies of everything, and brings the tables of `schema` up to date.
pub async fn migrate(options: &CqlOptions, replication_factor: u32, schema: Schema) -> Result<(), CqlError> {
    let Connected { session, datacenter } = connect::open(options, connect::builder(options)?).await?;
    let keyspace = &options.url.keyspace;
    run(
        &session,
        &format!(
            "CREATE KEYSPACE IF NOT EXISTS {keyspace} \
             WITH replication = {{'class': 'NetworkTopologyStrategy', '{datacenter}': {replication_factor}}}"
        ),
    )
    .await?;
    session.use_keyspace(keyspace, false).await.map_err(CqlError::unreadable)?;
    run(&session, RECORD).await?;
    for migration in schema.migrations {
        for statement in statements(migration.cql) {
            run(&session, &statement.replace("CREATE TABLE ", "CREATE TABLE IF NOT EXISTS ")).await?;
        }
    }
    Ok(())
}

async fn run(session: &Session, statement: &str) -> Result<(), CqlError> {
    session.query_unpaged(statement, ()).await?;
    Ok(())
}

/// The statements of a file, without its comments.
fn statements(cql: &str) -> impl Iterator<Item = String> {
    let bare: String =
        cql.lines().map(|line| line.split("--").next().unwrap_or_default()).collect::<Vec<_>>().join("\n");
    bare.split(';')
        .map(|statement| statement.trim().to_owned())
        .filter(|statement| !statement.is_empty())
        .collect::<Vec<_>>()
        .into_iter()
}
