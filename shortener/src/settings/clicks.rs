//! Settings of the way that clicks take, and of what travels beside them.

use std::path::PathBuf;

use analytics::kafka::{
    KafkaOptions, KafkaUrl, properties,
    topic::{CLICKS_RETENTION_MS, CLICKS_RETENTION_MS_MIN, PARTITIONS_MAX, TopicSettings},
};
use clap::Args;

use super::{ClicksUrl, SettingError};

/// The name by which brokers know the instances.
const CLIENT_ID: &str = "septet";

/// Where clicks go.
#[derive(Debug, Clone, Args)]
pub struct ClicksSettings {
    /// Where clicks go: `local:` (counted by this process), a topic of Kafka, by some of its brokers
    /// (`kafka://host:9092,host:9092/topic`), or `none:` (not recorded at all)
    #[arg(
        id = "clicks",
        long = "clicks",
        env = "SEPTET_CLICKS",
        default_value = "local:",
        value_name = "URL",
        global = true
    )]
    pub url: ClicksUrl,

    /// A file of properties for the Kafka client, NAME=VALUE lines: logins and certificates
    #[arg(long, env = "SEPTET_KAFKA_PROPERTIES", value_name = "FILE", global = true)]
    pub kafka_properties: Option<PathBuf>,

    /// The topic, on the same brokers, by which instances tell each other what was changed
    #[arg(long, env = "SEPTET_CHANGES_TOPIC", default_value = "septet-changes", value_name = "TOPIC", global = true)]
    pub changes_topic: String,

    /// How many partitions the topic of clicks gets; counts when `migrate` makes it
    #[arg(long, env = "SEPTET_PARTITIONS", default_value_t = 32, value_name = "COUNT", global = true)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=i64::from(PARTITIONS_MAX)))]
    pub partitions: u32,

    /// How long Kafka keeps a click, in milliseconds: for longer, counting must not be away; counts when `migrate` makes the topic
    #[arg(long, env = "SEPTET_CLICKS_RETENTION_MS", default_value_t = CLICKS_RETENTION_MS, value_name = "MS")]
    #[arg(value_parser = clap::value_parser!(u64).range(CLICKS_RETENTION_MS_MIN..=i64::MAX as u64), global = true)]
    pub clicks_retention_ms: u64,
}

/// The topics of an instance.
#[derive(Debug, Clone)]
pub struct Topics {
    pub clicks: KafkaOptions,
    pub changes: KafkaOptions,
}

impl ClicksSettings {
    /// How the topic of clicks is made.
    pub fn topic(&self, replication_factor: u32) -> TopicSettings {
        TopicSettings { partitions: self.partitions, replication_factor, retention_ms: self.clicks_retention_ms }
    }

    /// The topics, if clicks go to Kafka.
    pub fn topics(&self) -> Result<Option<Topics>, SettingError> {
        let ClicksUrl::Kafka(url) = &self.url else { return Ok(None) };
        let properties = match &self.kafka_properties {
            Some(path) => properties::read(path).map_err(SettingError::KafkaProperties)?,
            None => Vec::new(),
        };
        let clicks = KafkaOptions { url: url.clone(), properties, client_id: CLIENT_ID.to_owned() };
        let url: KafkaUrl = format!("kafka://{}/{}", url.brokers.join(","), self.changes_topic)
            .parse()
            .map_err(SettingError::ChangesTopic)?;
        if url.topic == clicks.url.topic {
            return Err(SettingError::OneTopic(url.topic));
        }
        let changes = KafkaOptions { url, ..clicks.clone() };
        Ok(Some(Topics { clicks, changes }))
    }
}
