//! The link store in SQLite: the embedded implementation.
//!
//! One connection writes, and commits everything that waits at once ([`writer`]); a few others read. Answered writes
//! are on disk: WAL with `synchronous=FULL`.

use std::sync::Arc;

use async_trait::async_trait;
use sqlx::SqlitePool;

use super::{Store, StoreError};
use crate::{code::Codec, metrics};

mod api_keys;
mod claims;
mod links;
mod open;
mod row;
mod writer;

pub use open::OpenError;
use writer::Writer;

/// The link store in one SQLite file.
pub struct SqliteStore {
    readers: SqlitePool,
    writer: Writer,
    codec: Arc<Codec>,
}

#[async_trait]
impl Store for SqliteStore {
    async fn ended(&self) {
        self.writer.ended().await;
    }

    async fn close(&self) {
        // The last connection to close empties SQLite's log into the file, which only the writer may do.
        self.readers.close().await;
        self.writer.close().await;
    }
}

/// What a failed read means to the caller.
fn read_error(error: sqlx::Error) -> StoreError {
    match error {
        sqlx::Error::PoolTimedOut => {
            metrics::store_read_refused();
            StoreError::Overloaded
        }
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => StoreError::Unreadable(error.to_string()),
        other => StoreError::Unavailable(other.into()),
    }
}

#[cfg(test)]
mod tests {
    use sqlx::{ConnectOptions, sqlite::SqliteConnectOptions};
    use token_service::IdSpace;

    use super::*;
    use crate::store::conformance::Harness;

    struct Embedded {
        dir: tempfile::TempDir,
        codec: Arc<Codec>,
        store: Arc<SqliteStore>,
    }

    impl Embedded {
        async fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let codec = Arc::new(Codec::new(&IdSpace::new([7; 32])));
            let store = Arc::new(open(&dir, &codec).await.unwrap());
            Embedded { dir, codec, store }
        }
    }

    async fn open(dir: &tempfile::TempDir, codec: &Arc<Codec>) -> Result<SqliteStore, OpenError> {
        SqliteStore::open(&dir.path().join("links.db"), Arc::clone(codec)).await
    }

    #[async_trait]
    impl Harness for Embedded {
        fn store(&self) -> Arc<dyn Store> {
            self.store.clone()
        }

        fn codec(&self) -> &Codec {
            &self.codec
        }

        async fn reopen(&mut self) {
            self.store.close().await;
            self.store = Arc::new(open(&self.dir, &self.codec).await.unwrap());
        }
    }

    crate::store_conformance!(Embedded::new().await);

    async fn file_of(sql: &'static str) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let options = SqliteConnectOptions::new().filename(dir.path().join("links.db")).create_if_missing(true);
        let mut connection = options.connect().await.unwrap();
        sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
        sqlx::Connection::close(connection).await.unwrap();
        dir
    }

    /// Seen to fail when the mark was not looked at.
    #[tokio::test]
    async fn a_file_of_something_else_is_refused_and_left_alone() {
        let dir = file_of("CREATE TABLE theirs (x)").await;
        let path = dir.path().join("links.db");
        let before = std::fs::read(&path).unwrap();
        let codec = Arc::new(Codec::new(&IdSpace::new([7; 32])));
        let error = open(&dir, &codec).await.err().unwrap();
        assert!(matches!(error, OpenError::Foreign { .. }), "{error}");
        assert_eq!(std::fs::read(&path).unwrap(), before);
    }

    /// Seen to fail without the check.
    #[tokio::test]
    async fn a_damaged_file_is_refused() {
        let mut embedded = Embedded::new().await;
        for number in 0..200 {
            let link = crate::store::conformance::generated(&embedded.codec, number * 10);
            use crate::store::Links;
            embedded.store.create(crate::store::Creation { link, idempotency: None }).await.unwrap();
        }
        embedded.reopen().await;
        embedded.store.close().await;
        let path = embedded.dir.path().join("links.db");
        let mut bytes = std::fs::read(&path).unwrap();
        let middle = bytes.len() / 2 / 4096 * 4096;
        bytes[middle..].fill(0xa5);
        std::fs::write(&path, bytes).unwrap();
        let error = open(&embedded.dir, &embedded.codec).await.err().unwrap();
        assert!(matches!(error, OpenError::Damaged { .. }), "{error}");
    }
}
