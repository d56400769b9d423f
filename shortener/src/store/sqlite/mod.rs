//! The link store in SQLite: the embedded implementation.
//!
//! One connection writes, and commits everything that waits at once ([`writer`]); a few others read. Answered writes
//! are on disk: WAL with `synchronous=FULL`.

use std::sync::OnceLock;

use async_trait::async_trait;
use sqlx::SqlitePool;

use super::{Store, StoreError};
use crate::{code::Codec, metrics};

mod api_keys;
mod claims;
mod export;
mod links;
mod open;
mod row;
mod writer;

pub use export::{ClaimRecord, IdempotencyRecord};
pub use open::OpenError;
use writer::Writer;

/// The link store in one SQLite file.
pub struct SqliteStore {
    readers: SqlitePool,
    writer: Writer,
    /// Tells which id a code belongs to; there is none before an id space is pinned.
    codec: OnceLock<Codec>,
}

impl SqliteStore {
    fn codec(&self) -> Result<&Codec, StoreError> {
        self.codec.get().ok_or_else(|| StoreError::Unavailable("no id space is pinned to it yet".into()))
    }
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
    use std::sync::Arc;

    use sqlx::{ConnectOptions, sqlite::SqliteConnectOptions};

    use super::*;
    use crate::{
        key::{Domain, Key},
        link::Link,
        store::{Claims, Creation, Links, Pinned, conformance, conformance::Harness},
    };

    struct Embedded {
        dir: tempfile::TempDir,
        store: Arc<SqliteStore>,
    }

    impl Embedded {
        async fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let store = Arc::new(open(&dir).await.unwrap());
            Embedded { dir, store }
        }
    }

    async fn open(dir: &tempfile::TempDir) -> Result<SqliteStore, OpenError> {
        SqliteStore::open(&dir.path().join("links.db")).await
    }

    #[async_trait]
    impl Harness for Embedded {
        fn store(&self) -> Arc<dyn Store> {
            self.store.clone()
        }

        async fn reopen(&mut self) {
            self.store.close().await;
            self.store = Arc::new(open(&self.dir).await.unwrap());
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
        let error = open(&dir).await.err().unwrap();
        assert!(matches!(error, OpenError::Foreign { .. }), "{error}");
        assert_eq!(std::fs::read(&path).unwrap(), before);
    }

    /// Seen to fail when migrating was not one transaction.
    #[tokio::test(flavor = "multi_thread")]
    async fn a_new_file_may_be_opened_by_many_at_once() {
        for _ in 0..5 {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("links.db");
            let opening: Vec<_> = (0..4)
                .map(|_| {
                    let path = path.clone();
                    tokio::spawn(async move { SqliteStore::open(&path).await })
                })
                .collect();
            for opened in opening {
                opened.await.unwrap().unwrap().close().await;
            }
        }
    }

    /// Seen to fail without the check.
    #[tokio::test]
    async fn a_damaged_file_is_refused() {
        let mut embedded = Embedded::new().await;
        for number in 0..200 {
            let link = conformance::generated(number * 10);
            embedded.store.create(Creation { link, idempotency: None }).await.unwrap();
        }
        embedded.reopen().await;
        embedded.store.close().await;
        let path = embedded.dir.path().join("links.db");
        let mut bytes = std::fs::read(&path).unwrap();
        let middle = bytes.len() / 2 / 4096 * 4096;
        bytes[middle..].fill(0xa5);
        std::fs::write(&path, bytes).unwrap();
        let error = open(&embedded.dir).await.err().unwrap();
        assert!(matches!(error, OpenError::Damaged { .. }), "{error}");
    }

    /// An id in use, among many writes of one batch. No holder of a claim does that; where it can be seen, it is refused.
    ///
    /// Seen to fail when one refused write spoilt the others of its batch, and when an insert overwrote what was there.
    #[tokio::test]
    async fn an_id_in_use_is_refused_and_spoils_nothing() {
        let embedded = conformance::pinned(Embedded::new().await).await;
        let create = |link: &Link| {
            let (store, link) = (embedded.store.clone(), link.clone());
            tokio::spawn(async move { store.create(Creation { link, idempotency: None }).await })
        };
        let taken = conformance::generated(1);
        create(&taken).await.unwrap().unwrap();
        let clash = create(&Link { url: conformance::destination("https://example.com/clash"), ..taken.clone() });
        let links: Vec<Link> = (1..=500).map(|number| conformance::generated(number * 10)).collect();
        for created in links.iter().map(create).collect::<Vec<_>>() {
            created.await.unwrap().unwrap();
        }
        clash.await.unwrap().unwrap_err();
        for link in links.iter().chain([&taken]) {
            assert_eq!(embedded.store.by_id(link.id).await.unwrap().as_ref(), Some(link));
        }
    }

    /// Seen to fail when the absence of a codec was taken for the absence of the link, and when the key was not filled in.
    #[tokio::test]
    async fn a_store_pinned_by_its_fingerprint_alone_gets_the_key() {
        let mut embedded = conformance::pinned(Embedded::new().await).await;
        let link = conformance::generated(10);
        let Key::Code(code) = link.key.clone() else { panic!("{link:?}") };
        embedded.store.create(Creation { link: link.clone(), idempotency: None }).await.unwrap();
        let file = SqliteConnectOptions::new().filename(embedded.dir.path().join("links.db"));
        let mut by_hand = file.connect().await.unwrap();
        sqlx::raw_sql("UPDATE id_space SET key = NULL").execute(&mut by_hand).await.unwrap();
        sqlx::Connection::close(by_hand).await.unwrap();

        embedded.reopen().await;
        let store = &embedded.store;
        assert_eq!(store.id_space().await.unwrap(), None);
        let found = store.by_key(&Domain::default(), &Key::Code(code)).await;
        assert!(matches!(found, Err(StoreError::Unavailable(_))), "{found:?}");
        let other = token_service::IdSpace::new([8; 32]);
        assert!(matches!(store.pin_id_space(&other).await.unwrap(), Pinned::Theirs(_)));
        assert_eq!(store.id_space().await.unwrap(), None);
        assert_eq!(store.pin_id_space(&conformance::ID_SPACE).await.unwrap(), Pinned::Ours);
        assert_eq!(store.by_key(&Domain::default(), &Key::Code(code)).await.unwrap(), Some(link));
        embedded.reopen().await;
        assert_eq!(embedded.store.id_space().await.unwrap().as_ref(), Some(&*conformance::ID_SPACE));
    }
}
