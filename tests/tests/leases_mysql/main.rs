//! Leases in a real MySQL: the suite of every implementation, and what only a database that others use as well can do.

mod faults;
mod schema;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use septet_tests::{
    by_hand,
    engines::mariadb::{self, Database},
};
use sqlx::{Connection, MySqlConnection};
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
        by_hand::mysql(&self.database.url(), statement).await;
    }
}

fn url(database: &Database) -> MysqlUrl {
    database.url().parse().expect("a URL")
}

fn open(database: &Database) -> Arc<MysqlLeases> {
    Arc::new(MysqlLeases::new(&url(database), MysqlOptions::default()))
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

    async fn advance(&mut self, by: Duration) {
        self.by_hand(&by_hand::aging(by)).await;
    }
}

mod suite {
    use super::*;

    leases_conformance!(
        ignore = "needs MariaDB: run by tests/run";
        Stored::new().await
    );
}
