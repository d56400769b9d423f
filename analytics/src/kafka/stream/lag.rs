//! How far counting is behind Kafka: the end of each partition that this consumer has, less what was counted of it.
//!
//! Kafka is asked for the ends, by the clock. What the client that reads knows of them stands still while it is paused, which is when somebody
//! wants to know.

use std::{collections::HashMap, sync::Arc, time::Duration};

use metrics::gauge;
use parking_lot::Mutex;
use rdkafka::{
    config::FromClientConfigAndContext,
    consumer::{BaseConsumer, Consumer},
};
use tokio::{
    task::{AbortHandle, spawn_blocking},
    time::sleep,
};

use crate::kafka::{
    KafkaOptions,
    client::{METADATA_TIMEOUT, Quiet},
};

/// How often Kafka is asked.
const ASKED_EVERY: Duration = Duration::from_secs(2);

/// Tells how far the partitions are behind that this consumer has, until it is dropped.
pub(super) struct Lag {
    held: Arc<Mutex<HashMap<i32, Held>>>,
    asking: AbortHandle,
}

/// A partition that this consumer has.
#[derive(Debug, Clone, Copy, Default)]
struct Held {
    counted: u64,
    /// What Kafka said last, once it has. It may be less than what was counted since.
    end: Option<u64>,
}

impl Held {
    fn tell(self, partition: i32) {
        if let Some(end) = self.end {
            tell(partition, end.saturating_sub(self.counted));
        }
    }
}

fn tell(partition: i32, records: u64) {
    gauge!("septet_consumer_lag", "partition" => partition.to_string()).set(records as f64);
}

impl Lag {
    pub fn new(options: &KafkaOptions) -> Self {
        let held = Arc::default();
        Lag { asking: tokio::spawn(ask(options.clone(), Arc::clone(&held))).abort_handle(), held }
    }

    /// So much of a partition is counted.
    pub fn counted(&self, partition: i32, counted: u64) {
        let mut held = self.held.lock();
        let held = held.entry(partition).or_default();
        held.counted = counted;
        held.tell(partition);
    }

    /// A partition is another consumer's, who tells of it from now on.
    pub fn end(&self, partition: i32) {
        let mut held = self.held.lock();
        if held.remove(&partition).is_some() {
            tell(partition, 0);
        }
    }
}

impl Drop for Lag {
    fn drop(&mut self) {
        self.asking.abort();
    }
}

/// Asks for the ends of the partitions that are held, for ever. While Kafka does not answer, what it said last is what is known.
async fn ask(options: KafkaOptions, held: Arc<Mutex<HashMap<i32, Held>>>) {
    let client = match BaseConsumer::from_config_and_context(&options.config(), Quiet) {
        Ok(client) => Arc::new(client),
        Err(error) => return tracing::error!(%error, "nothing is known of how far counting is behind"),
    };
    let topic: Arc<str> = options.url.topic.into();
    loop {
        let partitions: Vec<_> = held.lock().keys().copied().collect();
        for partition in partitions {
            let (client, topic) = (Arc::clone(&client), Arc::clone(&topic));
            let asked = spawn_blocking(move || client.fetch_watermarks(&topic, partition, METADATA_TIMEOUT)).await;
            if let Ok(Ok((_, end))) = asked
                && let Some(held) = held.lock().get_mut(&partition)
            {
                held.end = Some(end.cast_unsigned());
                held.tell(partition);
            }
        }
        sleep(ASKED_EVERY).await;
    }
}
