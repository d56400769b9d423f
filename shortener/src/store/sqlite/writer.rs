//! The one writer: everything that waits is committed at once, so that one flush to disk serves many requests.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use parking_lot::Mutex;
use sqlx::{
    ConnectOptions, Connection, QueryBuilder, SqliteConnection, error::ErrorKind, sqlite::SqliteConnectOptions,
};
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinHandle,
    time::sleep,
};

use super::row;
use crate::{
    link::Link,
    metrics,
    store::{Created, StoreError},
};

/// The most writes in one transaction.
pub const BATCH_MAX: usize = 256;
/// The most writes that wait for the next transaction; one more is refused as [`StoreError::Overloaded`].
const WAITING_MAX: usize = 4096;
/// How long the writer waits before it tries again to open the file.
const REOPEN_PAUSE: Duration = Duration::from_millis(500);

/// A write that is not a plain insert of a link: it looks before it writes, inside the transaction of its batch. It may be
/// applied again when that transaction failed because of another write.
#[async_trait]
pub trait Write: Send + Sync + 'static {
    type Outcome: Send + 'static;

    async fn apply(&self, connection: &mut SqliteConnection) -> Result<Self::Outcome, sqlx::Error>;
}

/// A write with its way back to whoever asked for it.
enum Waiting {
    /// A link with a generated code and nothing unique beside it: many of them are one statement.
    Insert {
        link: Box<Link>,
        reply: oneshot::Sender<Result<Created, StoreError>>,
    },
    Other(Box<dyn Pending>),
}

/// Hands writes to the connection that writes.
pub struct Writer {
    waiting: Mutex<Option<mpsc::Sender<Waiting>>>,
    task: Mutex<Option<JoinHandle<()>>>,
    ended: watch::Receiver<()>,
}

impl Writer {
    /// Starts the task that owns `connection`; `options` open another one in its place, should it break.
    pub fn start(connection: SqliteConnection, options: SqliteConnectOptions) -> Self {
        let (waiting, receiver) = mpsc::channel(WAITING_MAX);
        let (running, ended) = watch::channel(());
        let task = tokio::spawn(async move {
            run(connection, options, receiver).await;
            drop(running);
        });
        Writer { waiting: Mutex::new(Some(waiting)), task: Mutex::new(Some(task)), ended }
    }

    /// Resolves when nothing is written any more: before [`close`](Self::close) that is a fault.
    pub async fn ended(&self) {
        // Nothing is ever sent; an error says that the sender is gone, and with it the task.
        let _ = self.ended.clone().changed().await;
    }

    /// Inserts a link that nothing can be in the way of, and returns once it is on disk.
    pub async fn insert(&self, link: Link) -> Result<Created, StoreError> {
        let (reply, outcome) = oneshot::channel();
        self.enqueue(Waiting::Insert { link: Box::new(link), reply })?;
        outcome.await.unwrap_or_else(|_| Err(closed()))
    }

    /// Carries out a write, and returns once it is on disk.
    pub async fn submit<W: Write>(&self, write: W) -> Result<W::Outcome, StoreError> {
        let (reply, outcome) = oneshot::channel();
        self.enqueue(Waiting::Other(Box::new(Submitted { write, outcome: None, reply })))?;
        outcome.await.unwrap_or_else(|_| Err(closed()))
    }

    /// Carries out what waits, then closes the connection. Later writes are refused.
    pub async fn close(&self) {
        self.waiting.lock().take();
        let task = self.task.lock().take();
        if let Some(task) = task
            && let Err(error) = task.await
        {
            tracing::error!(%error, "the link store's writer ended badly");
        }
    }

    fn enqueue(&self, write: Waiting) -> Result<(), StoreError> {
        let waiting = self.waiting.lock();
        let Some(waiting) = waiting.as_ref() else { return Err(closed()) };
        waiting.try_send(write).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => {
                metrics::store_refused();
                StoreError::Overloaded
            }
            mpsc::error::TrySendError::Closed(_) => closed(),
        })
    }
}

fn closed() -> StoreError {
    StoreError::Unavailable("it is closed".into())
}

async fn run(mut connection: SqliteConnection, options: SqliteConnectOptions, mut waiting: mpsc::Receiver<Waiting>) {
    let mut received = Vec::with_capacity(BATCH_MAX);
    while waiting.recv_many(&mut received, BATCH_MAX).await > 0 {
        metrics::store_waiting(waiting.len(), WAITING_MAX);
        let started = Instant::now();
        let mut batch = Batch::of(received.drain(..));
        let result = batch.commit(&mut connection).await;
        metrics::store_commit(batch.len(), started.elapsed());
        match result {
            // One write has spoilt it for the others: each gets a transaction of its own.
            Err(error) if batch.len() > 1 && is_refusal(&error) => {
                for mut single in batch.singles() {
                    let result = single.commit(&mut connection).await;
                    connection = usable(connection, &options, &result).await;
                    single.answer(result);
                }
            }
            result => {
                connection = usable(connection, &options, &result).await;
                batch.answer(result);
            }
        }
    }
    if let Err(error) = connection.close().await {
        tracing::warn!(%error, "the link store did not close cleanly");
    }
}

/// Whether a write was refused by a rule of the tables, rather than the whole transaction by the disk.
fn is_refusal(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(|error| !matches!(error.kind(), ErrorKind::Other))
}

async fn usable(
    connection: SqliteConnection,
    options: &SqliteConnectOptions,
    result: &Result<(), sqlx::Error>,
) -> SqliteConnection {
    match result {
        Err(error) if !is_refusal(error) => reopened(connection, options).await,
        _ => connection,
    }
}

/// Opens another connection in the place of one whose transaction failed: SQLite may have rolled it back by itself, of which
/// the driver knows nothing, so that it could begin no other. While the file cannot be opened, writes wait, and are refused once too
/// many do.
async fn reopened(connection: SqliteConnection, options: &SqliteConnectOptions) -> SqliteConnection {
    let _ = connection.close_hard().await;
    loop {
        match options.connect().await {
            Ok(connection) => return connection,
            Err(error) => tracing::error!(%error, "the link store cannot be opened again"),
        }
        sleep(REOPEN_PAUSE).await;
    }
}

/// What is committed at once.
#[derive(Default)]
struct Batch {
    links: Vec<Link>,
    replies: Vec<oneshot::Sender<Result<Created, StoreError>>>,
    others: Vec<Box<dyn Pending>>,
}

impl Batch {
    fn of(waiting: impl Iterator<Item = Waiting>) -> Self {
        let mut batch = Batch::default();
        for write in waiting {
            match write {
                Waiting::Insert { link, reply } => {
                    batch.links.push(*link);
                    batch.replies.push(reply);
                }
                Waiting::Other(other) => batch.others.push(other),
            }
        }
        batch
    }

    fn len(&self) -> usize {
        self.links.len() + self.others.len()
    }

    fn singles(self) -> impl Iterator<Item = Batch> {
        let links = self.links.into_iter().zip(self.replies).map(|(link, reply)| Batch {
            links: vec![link],
            replies: vec![reply],
            others: Vec::new(),
        });
        links.chain(self.others.into_iter().map(|other| Batch { others: vec![other], ..Batch::default() }))
    }

    async fn commit(&mut self, connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
        let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
        insert(&mut transaction, &self.links).await?;
        for other in &mut self.others {
            other.apply(&mut transaction).await?;
        }
        transaction.commit().await
    }

    fn answer(self, result: Result<(), sqlx::Error>) {
        let error = result.err().map(Arc::new);
        if let Some(error) = &error {
            tracing::error!(%error, "the link store failed to write");
        }
        for reply in self.replies {
            // Whoever asked may have gone; the link stands all the same.
            let _ = reply.send(match &error {
                None => Ok(Created::Created),
                Some(error) => Err(failed(error)),
            });
        }
        for other in self.others {
            other.answer(error.clone());
        }
    }
}

fn failed(error: &Arc<sqlx::Error>) -> StoreError {
    StoreError::Unavailable(Box::new(Arc::clone(error)))
}

/// Inserts links in one statement. An id that is there already is an error, and nothing is overwritten.
async fn insert(connection: &mut SqliteConnection, links: &[Link]) -> Result<(), sqlx::Error> {
    if links.is_empty() {
        return Ok(());
    }
    let mut query = QueryBuilder::new(insert_into());
    query.push_values(links, |mut row, link| row::push(&mut row, link));
    query.build().execute(connection).await?;
    Ok(())
}

fn insert_into() -> String {
    format!("INSERT INTO links ({}) ", row::COLUMNS)
}

/// A [`Write`] whose outcome has found its type again.
#[async_trait]
trait Pending: Send {
    async fn apply(&mut self, connection: &mut SqliteConnection) -> Result<(), sqlx::Error>;
    fn answer(self: Box<Self>, error: Option<Arc<sqlx::Error>>);
}

struct Submitted<W: Write> {
    write: W,
    outcome: Option<W::Outcome>,
    reply: oneshot::Sender<Result<W::Outcome, StoreError>>,
}

#[async_trait]
impl<W: Write> Pending for Submitted<W> {
    async fn apply(&mut self, connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
        self.outcome = Some(self.write.apply(connection).await?);
        Ok(())
    }

    fn answer(self: Box<Self>, error: Option<Arc<sqlx::Error>>) {
        let outcome = match (error, self.outcome) {
            (Some(error), _) => Err(failed(&error)),
            (None, Some(outcome)) => Ok(outcome),
            (None, None) => Err(closed()),
        };
        let _ = self.reply.send(outcome);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Links, Store, conformance::generated, sqlite::SqliteStore};

    /// Lets the file grow no further while this connection lasts: what a full disk does to a transaction.
    struct FillDisk;

    #[async_trait]
    impl Write for FillDisk {
        type Outcome = ();

        async fn apply(&self, connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
            sqlx::raw_sql("PRAGMA max_page_count = 1").execute(connection).await?;
            Ok(())
        }
    }

    /// Seen to fail when the connection was used again after a failed transaction.
    #[tokio::test]
    async fn a_full_disk_is_got_over() {
        let dir = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&dir.path().join("links.db")).await.unwrap();
        store.writer.submit(FillDisk).await.unwrap();
        let mut failed = 0;
        for number in 0..400 {
            let link = Link { title: Some("x".repeat(1_000)), ..generated(number * 10) };
            let id = link.id;
            match store.writer.insert(link.clone()).await {
                Ok(_) => assert_eq!(store.by_id(id).await.unwrap(), Some(link)),
                Err(_) => {
                    failed += 1;
                    assert_eq!(store.by_id(id).await.unwrap(), None);
                }
            }
        }
        assert_eq!(failed, 1, "the file filled up once, and the next connection is not limited");
        store.close().await;
    }
}
