//! How a client of a Kafka cluster is set up.

use std::time::Duration;

use rdkafka::{
    ClientContext,
    config::{ClientConfig, RDKafkaLogLevel},
    consumer::ConsumerContext,
    error::KafkaError,
};

use super::KafkaUrl;

/// How long a question about a topic may take.
pub(super) const METADATA_TIMEOUT: Duration = Duration::from_secs(5);

/// Where a topic is, and what the client is to know besides.
#[derive(Debug, Clone)]
pub struct KafkaOptions {
    pub url: KafkaUrl,
    /// Properties of librdkafka: logins and certificates, mostly.
    pub properties: Vec<(String, String)>,
    /// What the brokers call this client in their logs and quotas.
    pub client_id: String,
}

impl KafkaOptions {
    /// What every client is set up with. The given properties come first: what a promise rests on is not theirs to change.
    pub fn config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        for (name, value) in &self.properties {
            config.set(name, value);
        }
        config
            .set("bootstrap.servers", self.url.brokers.join(","))
            .set("client.id", &self.client_id)
            // A topic is made by `migrate` alone.
            .set("allow.auto.create.topics", "false")
            // Brokers close idle connections all the time.
            .set("log.connection.close", "false");
        config
    }
}

/// A client without callbacks, which says little.
#[derive(Debug, Clone, Copy, Default)]
pub struct Quiet;

impl ConsumerContext for Quiet {}

impl ClientContext for Quiet {
    fn log(&self, _: RDKafkaLogLevel, facility: &str, line: &str) {
        logged(facility, line);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        told(&error, reason);
    }
}

/// What a client says of brokers that it cannot reach: whoever waits for an answer tells it to people.
pub(super) fn told(error: &KafkaError, reason: &str) {
    tracing::debug!(%error, reason, "a Kafka client");
}

/// What a client writes to its log: of a broker that is away, a line for each attempt to reach it, as an error.
pub fn logged(facility: &str, line: &str) {
    tracing::debug!(facility, line, "a Kafka client");
}
