//! Whether a partition is the one that was counted. A topic that was deleted and made anew under its name has the same partitions with other
//! clicks under the same offsets: going on in it would skip as many clicks as were counted before.
//!
//! What was counted last is looked up again: it must be there, and be a click that was counted.

use std::time::Duration;

use rdkafka::{
    Message, Offset, TopicPartitionList,
    config::{ClientConfig, FromClientConfigAndContext},
    consumer::{BaseConsumer, Consumer},
    error::{KafkaError, RDKafkaErrorCode},
};
use tokio::{sync::Semaphore, task::spawn_blocking, time::Instant};

use super::failed;
use crate::{
    kafka::{
        KafkaOptions,
        client::{METADATA_TIMEOUT, Quiet},
        event::Event,
        texts::Texts,
    },
    stream::{Progress, StreamError},
};

/// How long a look at one record may take.
const LOOK_TIMEOUT: Duration = Duration::from_secs(5);

/// Looks that are under way at once; the others wait.
const LOOKS_MAX: usize = 4;

/// Looks at partitions, each by a client of its own: one that was kept would first tell of every connection that it has lost since.
pub(super) struct Origins {
    topic: String,
    config: ClientConfig,
    room: Semaphore,
}

/// Where to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Origin {
    /// The offset behind everything that was counted.
    pub counted: u64,
    /// The first one from there on that is still kept.
    pub from: u64,
}

/// What stands where the last counted record stood.
enum Found {
    Event(Event),
    /// Nothing that can be read, which says nothing.
    Unknown,
}

impl Origins {
    pub fn new(options: &KafkaOptions) -> Self {
        let mut config = options.config();
        config.set("group.id", "septet-origins").set("enable.auto.commit", "false").set("fetch.wait.max.ms", "50");
        Origins { topic: options.url.topic.clone(), config, room: Semaphore::new(LOOKS_MAX) }
    }

    /// Where to go on from.
    ///
    /// # Errors
    /// [`StreamError::Lost`] if it is another topic than the one that was counted.
    pub async fn check(&self, partition: i32, progress: &Progress) -> Result<Origin, StreamError> {
        let _room = self.room.acquire().await.expect("it is never closed");
        let (config, topic) = (self.config.clone(), self.topic.clone());
        let counted = progress.watermark;
        let looked = spawn_blocking(move || {
            let client = BaseConsumer::from_config_and_context(&config, Quiet)?;
            let (low, high) = client.fetch_watermarks(&topic, partition, METADATA_TIMEOUT)?;
            let (low, high) = (low.cast_unsigned(), high.cast_unsigned());
            let last = counted.checked_sub(1).filter(|last| (low..high).contains(last));
            let found = last.map(|last| at(&client, &topic, partition, last)).transpose()?;
            Ok::<_, KafkaError>((low, high, found.unwrap_or(Found::Unknown)))
        });
        let (low, high, found) = looked.await.map_err(|error| StreamError::Failed(error.into()))?.map_err(failed)?;
        let is_known = match found {
            Found::Event(Event::Click(click)) => progress.logs.get(&click.log).is_some_and(|to| click.offset <= *to),
            Found::Event(Event::LogEnded(log)) => !progress.logs.contains_key(&log),
            Found::Unknown => true,
        };
        if high < counted || !is_known {
            return Err(StreamError::Lost(self.made_anew(partition, counted).into()));
        }
        Ok(Origin { counted, from: counted.max(low) })
    }

    fn made_anew(&self, partition: i32, counted: u64) -> String {
        let topic = &self.topic;
        format!(
            "partition {partition} of the topic {topic:?} is not the one of which {counted} records were counted: the topic was made anew. \
             Name a topic that never was (--clicks), and everything counted so far stays"
        )
    }
}

/// The record at an offset that the partition has.
fn at(client: &BaseConsumer<Quiet>, topic: &str, partition: i32, offset: u64) -> Result<Found, KafkaError> {
    let mut place = TopicPartitionList::new();
    place.add_partition_offset(topic, partition, Offset::Offset(offset.cast_signed()))?;
    client.assign(&place)?;
    let deadline = Instant::now() + LOOK_TIMEOUT;
    let mut error = KafkaError::MessageConsumption(RDKafkaErrorCode::OperationTimedOut);
    while Instant::now() < deadline {
        match client.poll(Duration::from_millis(100)) {
            Some(Ok(record)) if record.partition() == partition && record.offset() == offset.cast_signed() => {
                let event = Event::decode(record.payload().unwrap_or_default(), &mut Texts::default());
                return Ok(event.map_or(Found::Unknown, Found::Event));
            }
            // A connection that is lost is made again.
            Some(Err(lost)) => error = lost,
            Some(Ok(_)) | None => {}
        }
    }
    Err(error)
}
