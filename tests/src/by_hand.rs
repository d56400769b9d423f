//! Statements that somebody runs at a prompt, behind the back of the services.

use std::{path::Path, time::Duration};

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

/// What makes every lease of a lease store older by so much: its clock is the host's own, and cannot be set.
pub fn aging(by: Duration) -> String {
    let by = by.as_millis();
    format!(
        "UPDATE leases SET leased_at_ms = leased_at_ms - {by}, renewed_at_ms = renewed_at_ms - {by}, \
         expires_at_ms = expires_at_ms - {by}, ended_at_ms = ended_at_ms - {by}"
    )
}
