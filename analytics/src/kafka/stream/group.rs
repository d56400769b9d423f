//! What a consumer hears of its group.

use parking_lot::Mutex;
use rdkafka::{
    ClientContext, TopicPartitionList,
    config::RDKafkaLogLevel,
    consumer::{BaseConsumer, Consumer, ConsumerContext, Rebalance},
    error::KafkaError,
};

use crate::kafka::client;

/// A change of the partitions that this consumer has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    Given(i32),
    Taken(i32),
}

/// Hears of changes while the consumer polls.
#[derive(Debug, Default)]
pub(super) struct Group {
    changes: Mutex<Vec<Change>>,
}

impl Group {
    pub fn take_changes(&self) -> Vec<Change> {
        std::mem::take(&mut self.changes.lock())
    }

    fn note(&self, partitions: &TopicPartitionList, change: fn(i32) -> Change) {
        let changes = partitions.elements().into_iter().map(|element| change(element.partition()));
        self.changes.lock().extend(changes);
    }
}

impl ClientContext for Group {
    fn log(&self, _: RDKafkaLogLevel, facility: &str, line: &str) {
        client::logged(facility, line);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        client::told(&error, reason);
    }
}

impl ConsumerContext for Group {
    fn pre_rebalance(&self, _: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        if let Rebalance::Revoke(partitions) = rebalance {
            self.note(partitions, Change::Taken);
        }
    }

    fn post_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        if let Rebalance::Assign(partitions) = rebalance {
            // Nothing is read before it is known from where.
            if let Err(error) = consumer.pause(partitions) {
                tracing::error!(%error, "partitions could not be paused");
            }
            self.note(partitions, Change::Given);
        }
    }
}
