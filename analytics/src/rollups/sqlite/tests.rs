//! What is the file's own: the rest is in the conformance suite.

use std::{fs, sync::Arc, time::Duration};

use super::*;
use crate::{conformance, engine::Engine, query::Queries};

// Seen to fail without the check of the application id: the foreign file got our tables.
#[tokio::test]
async fn another_programs_file_is_refused_and_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("other.db");
    let other = SqlitePool::connect(&format!("sqlite:{}?mode=rwc", path.display())).await.unwrap();
    sqlx::query("CREATE TABLE theirs (a)").execute(&other).await.unwrap();
    other.close().await;
    let before = fs::read(&path).unwrap();
    let refused = SqliteRollups::open(&path).await.unwrap_err();
    assert!(matches!(refused, OpenError::Foreign { found: 0, .. }), "{refused}");
    assert_eq!(fs::read(&path).unwrap(), before);
}

// Seen to fail without the quick check.
#[tokio::test]
async fn a_damaged_file_is_refused_with_a_sentence() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("rollups.db");
    SqliteRollups::open(&path).await.unwrap().close().await;
    let mut bytes = fs::read(&path).unwrap();
    let end = bytes.len();
    bytes[4096 + 8..end].fill(0x5a);
    fs::write(&path, bytes).unwrap();
    let refused = SqliteRollups::open(&path).await.unwrap_err();
    assert!(refused.to_string().contains("is damaged"), "{refused}");
}

#[tokio::test]
async fn no_database_at_all_is_refused_with_a_sentence() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("rollups.db");
    fs::write(&path, "this is a letter to my aunt, and quite a long one at that".repeat(100)).unwrap();
    let refused = SqliteRollups::open(&path).await.unwrap_err();
    assert!(refused.to_string().contains("is damaged"), "{refused}");
}

fn one_click() -> (Changes, Progress) {
    let row = TotalRow { watermark: 1, clicks: 1, bots: 0, last_ms: Some(1), first_day: Some(Day(0)) };
    let changes = Changes { days: vec![(Subject::All, Day(0), DayRow::at(1))], totals: vec![(Subject::All, row)] };
    (changes, Progress { watermark: 1, logs: BTreeMap::new() })
}

fn local() -> Source {
    Source("local".to_owned())
}

// Seen to fail without `is_at_rest`: every later commit fails with InvalidSavePointStatement.
#[tokio::test]
async fn a_failed_commit_leaves_no_broken_connection() {
    let files = Files::new();
    let store = files.open().await;
    let mut connection = store.writer.acquire().await.unwrap();
    // A hook that refuses has COMMIT fail, and SQLite roll back by itself, as it does when the disk is full.
    connection.lock_handle().await.unwrap().set_commit_hook(|| false);
    drop(connection);
    let (changes, progress) = one_click();
    store.commit(&local(), &changes, &progress).await.unwrap_err();
    assert_eq!(store.progress(&local()).await.unwrap(), Progress::default());
    store.commit(&local(), &changes, &progress).await.unwrap();
    assert_eq!(store.progress(&local()).await.unwrap(), progress);
}

// Seen to fail when counting reads by the readers.
#[tokio::test]
async fn slow_questions_do_not_hold_up_counting() {
    let files = Files::new();
    let store = files.open().await;
    let mut asking = Vec::new();
    while asking.len() < store.readers.options().get_max_connections() as usize {
        asking.push(store.readers.acquire().await.unwrap());
    }
    let (changes, progress) = one_click();
    let counting = async {
        store.progress(&local()).await.unwrap();
        store.days(&local(), &[(Subject::All, Day(0))]).await.unwrap();
        store.source_totals(&local(), &[Subject::All]).await.unwrap();
        store.commit(&local(), &changes, &progress).await.unwrap();
    };
    tokio::time::timeout(Duration::from_secs(5), counting).await.expect("no reader is needed");
}

// Seen to fail when the writer is not closed: the write-ahead log stays.
#[tokio::test]
async fn a_closed_store_is_one_file() {
    let files = Files::new();
    let store = files.open().await;
    let (changes, progress) = one_click();
    store.commit(&local(), &changes, &progress).await.unwrap();
    store.totals(&[Subject::All]).await.unwrap();
    let names = || fs::read_dir(files.directory.path()).unwrap().map(|file| file.unwrap().file_name());
    assert!(names().any(|name| name == "0.db-wal"));
    store.close().await;
    assert_eq!(names().collect::<Vec<_>>(), ["0.db"]);
}

// Seen to fail when what cannot be decoded is told as a store that does not answer.
#[tokio::test]
async fn a_row_that_cannot_be_read_is_told_apart() {
    let store = Files::new().open().await;
    let (changes, progress) = one_click();
    store.commit(&local(), &changes, &progress).await.unwrap();
    let breaks = [
        ("UPDATE days SET clicks = x'63'", "version 99"),
        ("UPDATE days SET clicks = x'01ff'", "slots are malformed"),
        ("UPDATE days SET clicks = x'', visitors = x'01ff'", "visitors are malformed"),
    ];
    for (damage, said) in breaks {
        sqlx::query(damage).execute(&store.writer).await.unwrap();
        let error = store.days(&local(), &[(Subject::All, Day(0))]).await.unwrap_err();
        assert!(matches!(error, RollupsError::Unreadable(_)), "{error}");
        assert!(error.to_string().contains(said), "{error}");
    }
}

// Seen to fail when damage is told as a store that does not answer.
#[tokio::test]
async fn damage_is_told_apart() {
    let files = Files::new();
    let (changes, progress) = one_click();
    let store = files.open().await;
    store.commit(&local(), &changes, &progress).await.unwrap();
    store.close().await;
    let store = files.open().await;
    let path = files.directory.path().join("0.db");
    let mut bytes = fs::read(&path).unwrap();
    bytes[4096..].fill(0x5a);
    fs::write(&path, bytes).unwrap();
    let error = store.days(&local(), &[(Subject::All, Day(0))]).await.unwrap_err();
    assert!(matches!(error, RollupsError::Unreadable(_)), "{error}");
}

/// Stores in one directory, a file for each.
struct Files {
    directory: tempfile::TempDir,
    made: u32,
}

impl Files {
    fn new() -> Files {
        Files { directory: tempfile::tempdir().unwrap(), made: 0 }
    }

    async fn open(&self) -> Arc<SqliteRollups> {
        let path = self.directory.path().join(format!("{}.db", self.made));
        Arc::new(SqliteRollups::open(&path).await.unwrap())
    }
}

#[async_trait]
impl conformance::rollups::Harness for Files {
    async fn empty(&mut self) -> Arc<dyn Rollups> {
        self.made += 1;
        self.open().await
    }

    async fn reopened(&mut self) -> Arc<dyn Rollups> {
        self.open().await
    }
}

#[async_trait]
impl conformance::queries::Harness for Files {
    async fn empty(&mut self) -> (Arc<dyn Rollups>, Arc<dyn Queries>) {
        self.made += 1;
        let store = self.open().await;
        (store.clone(), Arc::new(Engine::new(store)))
    }
}

// Seen to fail without the guard by watermark, when progress is guarded by `>`, when logs are not deleted, and when the
// rows after the last full statement are not written.
#[tokio::test]
async fn conforms_as_rollups() {
    conformance::rollups::suite(&mut Files::new()).await;
}

// Seen to fail when a read leaves out a source, when spans are not widened, when the cap drops clicks, and when bots count as visitors.
#[tokio::test]
async fn conforms_as_queries() {
    conformance::queries::suite(&mut Files::new()).await;
}
