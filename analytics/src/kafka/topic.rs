//! The topic: made by `migrate`, looked at by everybody else.

use std::{fmt, time::Duration};

use rdkafka::{
    admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication},
    client::Client,
    config::FromClientConfigAndContext,
    consumer::{BaseConsumer, Consumer},
    error::{KafkaError, RDKafkaErrorCode},
};
use tokio::task::spawn_blocking;

use super::{
    KafkaOptions, KafkaUrl,
    client::{METADATA_TIMEOUT, Quiet},
};

/// The property of a topic that says what becomes of old records, and its value by which they are there until their time is over.
const CLEANUP_POLICY: &str = "cleanup.policy";
const DELETE: &str = "delete";

/// How long brokers may take to make a topic.
const CREATE_TIMEOUT: Duration = Duration::from_secs(30);

/// The most partitions that a topic is made with: Kafka's own advice for a broker, about.
pub const PARTITIONS_MAX: u32 = 4_000;

/// How long Kafka keeps a click by default, in milliseconds: what is there for longer than a week has been counted, or will not be.
pub const CLICKS_RETENTION_MS: u64 = 7 * CLICKS_RETENTION_MS_MIN;

/// The least, in milliseconds: a night in which nobody looks.
pub const CLICKS_RETENTION_MS_MIN: u64 = 24 * 60 * 60 * 1000;

/// How a topic is made.
#[derive(Debug, Clone, Copy)]
pub struct TopicSettings {
    pub partitions: u32,
    pub replication_factor: u32,
    /// How long the brokers keep a record, in milliseconds.
    pub retention_ms: u64,
}

/// What became of a preparation. Its text is a sentence for whoever asked for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prepared {
    pub topic: KafkaUrl,
    /// How many partitions it was to have.
    pub asked: u32,
    /// It was there already, with so many, and stays as it is.
    pub there: Option<u32>,
}

impl fmt::Display for Prepared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Prepared { topic, asked, there } = self;
        match there {
            None => write!(f, "{topic} is made, with {asked} partitions"),
            Some(there) if there == asked => write!(f, "{topic} is there, with {there} partitions"),
            Some(there) => write!(f, "{topic} is there, with {there} partitions, not {asked}, and was left so"),
        }
    }
}

/// Why a topic is not ready.
#[derive(Debug, thiserror::Error)]
pub enum TopicError {
    #[error("there is no topic {topic:?} at {brokers}: `migrate` makes it")]
    Missing { topic: String, brokers: String },
    #[error("a Kafka client cannot be set up, see --kafka-properties: {cause}")]
    Setup { cause: KafkaError },
    #[error("Kafka at {brokers} does not answer: {cause}")]
    Unavailable { brokers: String, cause: KafkaError },
    #[error("the topic {topic:?} could not be made: {cause}")]
    NotMade { topic: String, cause: String },
    #[error(
        "the topic {topic:?} is compacted ({CLEANUP_POLICY}={policy}): of each link, Kafka would keep the last click alone. Set it to \
         {DELETE}, or name another topic"
    )]
    Compacted { topic: String, policy: String },
}

impl TopicError {
    /// Whether the same may turn out well later, without anybody's doing.
    pub fn is_transient(&self) -> bool {
        matches!(self, TopicError::Unavailable { .. })
    }
}

/// Makes the topic, if there is none. May be done twice, and by two at once.
pub async fn prepare(options: &KafkaOptions, settings: TopicSettings) -> Result<Prepared, TopicError> {
    let topic = &options.url.topic;
    let prepared = |there| Prepared { topic: options.url.clone(), asked: settings.partitions, there };
    match partitions(options).await {
        Ok(there) => return Ok(prepared(Some(there))),
        Err(TopicError::Missing { .. }) => {}
        Err(error) => return Err(error),
    }
    let admin = AdminClient::from_config_and_context(&options.config(), Quiet);
    let admin = admin.map_err(|cause| unavailable(options, cause))?;
    let TopicSettings { partitions, replication_factor, retention_ms } = settings;
    // One broker of a quorum may be away without clicks having to wait, and without one being lost.
    let in_sync = replication_factor.saturating_sub(1).max(1).to_string();
    let retention = retention_ms.to_string();
    let replication = TopicReplication::Fixed(replication_factor.cast_signed());
    let new = NewTopic::new(topic, partitions.cast_signed(), replication)
        .set("min.insync.replicas", &in_sync)
        .set("retention.ms", &retention)
        .set(CLEANUP_POLICY, DELETE)
        // Kept from when it comes, however long it has waited, and whatever the clock said where it was made: brokers refuse records from the
        // future.
        .set("message.timestamp.type", "LogAppendTime");
    let wait = AdminOptions::new().operation_timeout(Some(CREATE_TIMEOUT)).request_timeout(Some(CREATE_TIMEOUT));
    let made = admin.create_topics([&new], &wait).await.map_err(|cause| unavailable(options, cause))?;
    match made.into_iter().next() {
        Some(Ok(_)) => Ok(prepared(None)),
        Some(Err((_, RDKafkaErrorCode::TopicAlreadyExists))) => {
            // So young that not every broker knows it, it was made at the same time as this one would have been: alike, most likely.
            Ok(prepared(Some(self::partitions(options).await.unwrap_or(partitions))))
        }
        Some(Err((_, code))) => Err(TopicError::NotMade { topic: topic.clone(), cause: why(code, replication_factor) }),
        None => Err(TopicError::NotMade { topic: topic.clone(), cause: "Kafka said nothing of it".to_owned() }),
    }
}

/// The same of the topic of clicks, which must keep each of them for its time.
pub async fn prepare_clicks(options: &KafkaOptions, settings: TopicSettings) -> Result<Prepared, TopicError> {
    let prepared = prepare(options, settings).await?;
    if prepared.there.is_some() {
        partitions_of_clicks(options).await?;
    }
    Ok(prepared)
}

fn why(code: RDKafkaErrorCode, replication_factor: u32) -> String {
    match code {
        RDKafkaErrorCode::InvalidReplicationFactor => {
            format!("there are fewer brokers than --replication-factor {replication_factor}")
        }
        code => code.to_string(),
    }
}

/// How many partitions the topic has at the moment.
pub async fn partitions(options: &KafkaOptions) -> Result<u32, TopicError> {
    let options = options.clone();
    let looked = spawn_blocking(move || {
        let client = BaseConsumer::from_config_and_context(&options.config(), Quiet);
        let client = client.map_err(|cause| unavailable(&options, cause))?;
        partitions_by(client.client(), &options)
    });
    looked.await.expect("looking at a topic does not panic")
}

/// The same of the topic of clicks, if it keeps each of them for its time. Where Kafka does not let this client know, it is believed to.
pub async fn partitions_of_clicks(options: &KafkaOptions) -> Result<u32, TopicError> {
    let partitions = partitions(options).await?;
    let topic = &options.url.topic;
    let admin = AdminClient::from_config_and_context(&options.config(), Quiet);
    let admin = admin.map_err(|cause| unavailable(options, cause))?;
    let wait = AdminOptions::new().request_timeout(Some(METADATA_TIMEOUT));
    let described = admin.describe_configs(&[ResourceSpecifier::Topic(topic)], &wait).await;
    let described = described.map_err(|cause| unavailable(options, cause))?;
    let config = match described.into_iter().next() {
        Some(Ok(config)) => config,
        unknown => {
            tracing::debug!(?unknown, topic, "the topic's properties could not be read");
            return Ok(partitions);
        }
    };
    match config.get(CLEANUP_POLICY).and_then(|policy| policy.value.clone()) {
        Some(policy) if policy != DELETE => Err(TopicError::Compacted { topic: topic.clone(), policy }),
        _ => Ok(partitions),
    }
}

/// [`partitions`] by a client that is there. Blocks.
pub(super) fn partitions_by<C: rdkafka::ClientContext>(
    client: &Client<C>,
    options: &KafkaOptions,
) -> Result<u32, TopicError> {
    let missing = || TopicError::Missing { topic: options.url.topic.clone(), brokers: options.url.brokers.join(",") };
    let metadata = client
        .fetch_metadata(Some(&options.url.topic), METADATA_TIMEOUT)
        .map_err(|cause| unavailable(options, cause))?;
    let topic = metadata.topics().first().ok_or_else(missing)?;
    match topic.error().map(RDKafkaErrorCode::from) {
        None if !topic.partitions().is_empty() => Ok(topic.partitions().len() as u32),
        None | Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) => Err(missing()),
        Some(code) => Err(unavailable(options, KafkaError::MetadataFetch(code))),
    }
}

fn unavailable(options: &KafkaOptions, cause: KafkaError) -> TopicError {
    if let KafkaError::ClientConfig(..) | KafkaError::ClientCreation(_) = cause {
        return TopicError::Setup { cause };
    }
    TopicError::Unavailable { brokers: options.url.brokers.join(","), cause }
}
