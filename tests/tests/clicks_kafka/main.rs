//! Clicks through a real Kafka: the stream's contract, and what may happen to a topic.

mod contract;
mod counting;
mod topics;
mod world;
