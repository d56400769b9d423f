//! The client alone: it reads the topic, and does nothing with what it reads.

use std::time::Duration;

use anyhow::{Context, Result};
use rdkafka::{
    ClientConfig, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
};
use septet_tests::engines::unique_name;

use crate::clicks::topic::Filled;

/// How long Kafka may let it wait for a record.
const STALLED: Duration = Duration::from_secs(20);

/// A consumer without a group's doings, fetching as the service's does: `analytics/src/kafka/stream/poller.rs`.
pub struct Bare(BaseConsumer);

impl Bare {
    /// It begins to fetch all partitions, from their beginnings.
    pub fn start(filled: &Filled) -> Result<Self> {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &filled.topic.bootstrap)
            .set("group.id", unique_name("bare"))
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("auto.offset.reset", "earliest")
            .set("fetch.wait.max.ms", "100")
            .set("queued.max.messages.kbytes", (32 << 10).to_string());
        let consumer: BaseConsumer = config.create()?;
        let mut partitions = TopicPartitionList::new();
        for partition in 0..filled.partitions.cast_signed() {
            partitions.add_partition_offset(&filled.topic.name, partition, Offset::Beginning)?;
        }
        consumer.assign(&partitions)?;
        Ok(Bare(consumer))
    }

    /// Takes so many records: how many bytes they hold.
    pub fn read(&self, records: u64) -> Result<u64> {
        let mut bytes = 0;
        for _ in 0..records {
            let record = self.0.poll(STALLED).context("nothing more comes from Kafka")??;
            bytes += record.payload_len() as u64;
        }
        Ok(bytes)
    }
}
