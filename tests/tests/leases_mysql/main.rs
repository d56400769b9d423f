//! Leases in a real MySQL: the suite of every implementation, and what only a database that others use as well can do.

mod faults;
mod schema;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use septet_tests::engines::mariadb::{self, Database};
use sqlx::{AssertSqlSafe, Connection, MySqlConnection};
use token_service::{
    LeaseRequest, LeaseStore, Leases, Owner, conformance, leases_conformance,
    mysql::{MysqlLeases, MysqlOptions, MysqlUrl},
};
use uuid::Uuid;

/// A migrated database of a test's own, and leases in it.
struct Stored {
    leases: Arc<MysqlLeases>,
    database: Database,
}

impl Stored {
    async fn new() -> Self {
        let database = mariadb::database();
        MysqlLeases::migrate(&url(&database)).await.expect("the database is migrated");
        Self { leases: open(&database), database }
    }

    /// Runs a statement as somebody at a prompt would.
    async fn by_hand(&self, statement: &str) {
        by_hand(&self.database.url(), statement).await;
    }
}

fn url(database: &Database) -> MysqlUrl {
    database.url().parse().expect("a URL")
}

fn open(database: &Database) -> Arc<MysqlLeases> {
    Arc::new(MysqlLeases::new(&url(database), MysqlOptions::default()))
}

async fn by_hand(url: &str, statement: &str) {
    let mut connection = MySqlConnection::connect(url).await.expect("a connection");
    sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut connection).await.expect(statement);
    connection.close().await.expect("closed in order");
}

fn request(blocks: u32) -> LeaseRequest {
    LeaseRequest { request_id: Uuid::new_v4(), owner: Owner::random(), blocks }
}

#[async_trait]
impl conformance::Harness for Stored {
    fn leases(&self) -> Arc<dyn LeaseStore> {
        Arc::<MysqlLeases>::clone(&self.leases)
    }

    async fn reopen(&mut self) {
        self.leases.close().await;
        self.leases = open(&self.database);
    }

    /// The clock is the database's own, and cannot be set; so everything becomes so much older.
    async fn advance(&mut self, by: Duration) {
        let by = by.as_millis();
        self.by_hand(&format!(
            "UPDATE leases SET leased_at_ms = leased_at_ms - {by}, renewed_at_ms = renewed_at_ms - {by}, \
             expires_at_ms = expires_at_ms - {by}, ended_at_ms = ended_at_ms - {by}"
        ))
        .await;
    }
}

mod suite {
    use super::*;

    leases_conformance!(
        ignore = "needs MariaDB: run by tests/run";
        Stored::new().await
    );
}
