//! Clicks in transit through Kafka: the distributed implementation of the seam.
//!
//! The [`forwarder`] of an instance reads its click logs as the embedded consumer does, and writes each click to a topic, keyed by its link; a
//! [`stream`] of a consumer group brings them to whoever counts. What is written is an [`event`]; [`topic`] makes the topic and checks it.
//!
//! **Exactly once, end to end.** A click is in the topic at least once, as the click log is trimmed behind acknowledged clicks only. It is counted at most
//! once, as within a partition the offsets of each click log rise, and a repetition is a suffix that begins again: whoever keeps the highest
//! offset per log and partition knows what it has. For this a click must always go to the *same* partition, however often it is written, and
//! although partitions are added: that is what [`routes`](forwarder) are for.

mod client;
pub mod event;
pub mod forwarder;
mod partitioner;
pub mod properties;
pub mod stream;
pub mod texts;
pub mod topic;
mod url;

pub use client::{KafkaOptions, Quiet, logged};
pub use url::{KafkaUrl, KafkaUrlError};
