//! Counts what comes, as a consumer of a group does.

use std::{path::Path, sync::Arc, time::Duration};

use analytics::{
    consumer::{Consumer, ConsumerError, ConsumerOptions},
    kafka::KafkaOptions,
    query::Totals,
    rollups::{Rollups, Subject, sqlite::SqliteRollups},
};
use tokio::{
    sync::oneshot,
    task::JoinHandle,
    time::{Instant, sleep},
};

use crate::world::join;

/// What must happen, happens within this.
const PATIENCE: Duration = Duration::from_secs(90);

/// A store, and the consumers that count into it.
pub struct Counting {
    pub store: Arc<dyn Rollups>,
}

/// A consumer that runs.
pub struct Running {
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<(), ConsumerError>>,
}

impl Running {
    /// Stops as a service does that is told to.
    pub async fn stop(self) {
        let _ = self.stop.send(());
        self.task.await.expect("it does not panic").expect("it ends well");
    }

    /// Ends on its own.
    pub async fn ended(self) -> ConsumerError {
        let ended = tokio::time::timeout(PATIENCE, self.task).await.expect("it ends");
        ended.expect("it does not panic").expect_err("it ends badly")
    }
}

impl Counting {
    pub async fn new(folder: &Path) -> Self {
        let store = SqliteRollups::open(&folder.join("rollups.db")).await.expect("the store opens");
        Counting { store: Arc::new(store) }
    }

    /// One more consumer of the group.
    pub fn consume(&self, options: &KafkaOptions, group: &str) -> Running {
        let (stop, stopped) = oneshot::channel();
        let stream = Box::new(join(options, group));
        let stopped = async {
            let _ = stopped.await;
        };
        let task = tokio::spawn(Consumer::run(stream, Arc::clone(&self.store), ConsumerOptions::default(), stopped));
        Running { stop, task }
    }

    pub async fn totals(&self, links: u64) -> Vec<Totals> {
        let subjects: Vec<_> = (0..links).map(Subject::Link).chain([Subject::All]).collect();
        self.store.totals(&subjects).await.expect("the store answers")
    }

    /// Waits until so many clicks are counted, then looks whether no more come, and whether each link has its share.
    pub async fn is_exactly(&self, clicks: &[u64]) {
        let expected: u64 = clicks.iter().sum();
        let deadline = Instant::now() + PATIENCE;
        loop {
            let counted = self.totals(0).await[0].clicks;
            assert!(counted <= expected, "{counted} of {expected} are counted: some twice");
            if counted == expected {
                break;
            }
            assert!(Instant::now() < deadline, "{counted} of {expected} are counted");
            sleep(Duration::from_millis(100)).await;
        }
        sleep(Duration::from_secs(2)).await;
        let counted: Vec<_> = self.totals(clicks.len() as u64).await.iter().map(|totals| totals.clicks).collect();
        assert_eq!(counted[..clicks.len()], *clicks, "for each link");
        assert_eq!(counted[clicks.len()], expected, "for all links");
    }
}
