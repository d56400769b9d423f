//! Statements that somebody runs at a prompt, behind the back of the services.

use std::{path::Path, time::Duration};

use anyhow::{Context, Result};
use scylla::{
    client::{execution_profile::ExecutionProfile, session::Session, session_builder::SessionBuilder},
    statement::Consistency,
    value::Row,
};
use sqlx::{AssertSqlSafe, Connection, MySqlConnection, SqliteConnection, sqlite::SqliteConnectOptions};

/// Runs statements in the MySQL database at `url`.
///
/// # Panics
/// When one fails.
pub async fn mysql(url: &str, statements: &str) {
    let mut connection = MySqlConnection::connect(url).await.expect("a connection");
    sqlx::raw_sql(AssertSqlSafe(statements)).execute(&mut connection).await.expect(statements);
    connection.close().await.expect("closed in order");
}

/// Runs statements in the SQLite file at `path`.
///
/// # Panics
/// When one fails.
pub async fn sqlite(path: &Path, statements: &str) {
    let options = SqliteConnectOptions::new().filename(path);
    let mut connection = SqliteConnection::connect_with(&options).await.expect("a connection");
    sqlx::raw_sql(AssertSqlSafe(statements)).execute(&mut connection).await.expect(statements);
    connection.close().await.expect("closed in order");
}

/// How long a statement of CQL may take.
const CQL_TIMEOUT: Duration = Duration::from_secs(20);

/// A session with the cluster of `nodes`, which are written `host:port,host:port`. Every replica must answer what is asked by it.
///
/// # Errors
/// When none of them answers.
pub async fn cql(nodes: &str) -> Result<Session> {
    let profile = ExecutionProfile::builder()
        .consistency(Consistency::All)
        .request_timeout(Some(CQL_TIMEOUT))
        .build()
        .into_handle();
    let builder = SessionBuilder::new().known_nodes(nodes.split(',')).default_execution_profile_handle(profile);
    Ok(builder.build().await?)
}

/// The rows that a statement of CQL answers.
///
/// # Errors
/// When it fails.
pub async fn cql_rows(session: &Session, statement: &str) -> Result<Vec<Row>> {
    let answer = session.query_unpaged(statement, ()).await.with_context(|| statement.to_owned())?;
    if !answer.is_rows() {
        return Ok(Vec::new());
    }
    Ok(answer.into_rows_result()?.rows::<Row>()?.collect::<Result<_, _>>()?)
}

/// What makes every lease of a lease store older by so much: its clock is the host's own, and cannot be set.
pub fn aging(by: Duration) -> String {
    let by = by.as_millis();
    format!(
        "UPDATE leases SET leased_at_ms = leased_at_ms - {by}, renewed_at_ms = renewed_at_ms - {by}, \
         expires_at_ms = expires_at_ms - {by}, ended_at_ms = ended_at_ms - {by}"
    )
}
