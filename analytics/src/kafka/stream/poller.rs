//! The thread that speaks to Kafka: polls, follows the group, and does what it is told.

use std::{collections::VecDeque, sync::mpsc as commands, time::Duration};

use foldhash::HashMap;
use metrics::{counter, gauge};
use rdkafka::{
    Message, Offset, TopicPartitionList,
    config::FromClientConfigAndContext,
    consumer::{BaseConsumer, CommitMode, Consumer},
    error::{KafkaError, RDKafkaErrorCode},
    message::{BorrowedMessage, Headers},
};
use tokio::sync::mpsc::{Sender, error::TrySendError};
use traces::Traceparent;

use super::{
    FETCHED_KBYTES_MAX,
    group::{Change, Group},
    origin::Origin,
    source,
};
use crate::{
    kafka::{
        KafkaOptions,
        event::{Event, EventError},
        texts::Texts,
    },
    stream::{BATCH_CLICKS_MAX, Batch, Delivery, Sequenced, StreamError},
    trouble::{Trouble, Work},
};

/// How long one poll waits: so long a command may have to wait.
const POLL_WAIT: Duration = Duration::from_millis(20);
/// How long a move within a partition may take.
const SEEK_TIMEOUT: Duration = Duration::from_secs(2);

/// What the one who counts wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Command {
    /// Deliver a partition from there on.
    Begin { partition: i32, origin: Origin },
    /// Everything before this offset is counted.
    Commit { partition: i32, through: u64 },
    /// Leave the group.
    Leave,
}

type Deliveries = Sender<Result<Delivery, StreamError>>;

pub(super) struct Poller {
    consumer: BaseConsumer<Group>,
    topic: String,
    /// The partitions that this consumer has, and the next offset of each; `None` before it has begun.
    partitions: HashMap<i32, Option<u64>>,
    /// Begins that were not carried out yet.
    beginning: Vec<(i32, Origin)>,
    deliveries: Deliveries,
    /// What could not be delivered yet, as too much waits already: of each partition at most that it was taken and given, what one
    /// poll brought, and the end.
    pending: VecDeque<Result<Delivery, StreamError>>,
    is_paused: bool,
    texts: Texts,
    trouble: Trouble,
    commands: commands::Receiver<Command>,
}

impl Poller {
    pub fn new(
        options: &KafkaOptions,
        group: &str,
        deliveries: Deliveries,
        commands: commands::Receiver<Command>,
    ) -> Result<Self, KafkaError> {
        let mut config = options.config();
        config
            .set("group.id", group)
            .set("partition.assignment.strategy", "cooperative-sticky")
            // Kafka is told how far counting is, when it is.
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("auto.offset.reset", "earliest")
            // A consumer that was killed is missed after this.
            .set("session.timeout.ms", "10000")
            .set("heartbeat.interval.ms", "2000")
            // Partitions that are added are noticed after this.
            .set("topic.metadata.refresh.interval.ms", "10000")
            .set("fetch.wait.max.ms", "100")
            .set("queued.max.messages.kbytes", FETCHED_KBYTES_MAX.to_string());
        let consumer = BaseConsumer::from_config_and_context(&config, Group::default())?;
        consumer.subscribe(&[&options.url.topic])?;
        Ok(Poller {
            consumer,
            topic: options.url.topic.clone(),
            partitions: HashMap::default(),
            beginning: Vec::new(),
            deliveries,
            pending: VecDeque::new(),
            is_paused: false,
            texts: Texts::default(),
            trouble: Trouble::new(Work::Counting, "stream"),
            commands,
        })
    }

    /// Runs until it is told to leave.
    pub fn run(mut self) {
        while self.obey() {
            self.begin();
            self.poll();
            self.follow_group();
            self.deliver();
        }
        // This ends the commits that are under way, and leaves the group. What ends the deliveries says that it is done.
        let Poller { consumer, deliveries, .. } = self;
        drop(consumer);
        drop(deliveries);
    }

    /// Carries out what was commanded; whether to go on.
    fn obey(&mut self) -> bool {
        loop {
            match self.commands.try_recv() {
                Ok(Command::Begin { partition, origin }) => self.beginning.push((partition, origin)),
                Ok(Command::Commit { partition, through }) => self.commit(partition, through),
                Ok(Command::Leave) | Err(commands::TryRecvError::Disconnected) => return false,
                Err(commands::TryRecvError::Empty) => return true,
            }
        }
    }

    fn commit(&self, partition: i32, through: u64) {
        // Of a partition that is another's now, nothing is said: it knows more.
        if self.partitions.get(&partition).copied().flatten().is_none() {
            return;
        }
        let mut offsets = TopicPartitionList::new();
        let offset = Offset::Offset(through.cast_signed());
        let committed = offsets
            .add_partition_offset(&self.topic, partition, offset)
            .and_then(|()| self.consumer.commit(&offsets, CommitMode::Async));
        if let Err(error) = committed {
            tracing::debug!(%error, partition, "an offset was not committed");
        }
    }

    /// Moves to where partitions begin, and lets them come.
    fn begin(&mut self) {
        let Poller { consumer, topic, partitions, beginning, is_paused, .. } = self;
        beginning.retain(|&(partition, Origin { counted, from })| {
            let Some(next) = partitions.get_mut(&partition) else { return false };
            let to = Offset::Offset(from.cast_signed());
            if let Err(error) = consumer.seek(topic, partition, to, SEEK_TIMEOUT) {
                tracing::debug!(%error, partition, "a partition is not ready to be moved in");
                return true;
            }
            // What is missing in between is counted as lost with the first that comes.
            *next = Some(counted);
            if !*is_paused && let Err(error) = consumer.resume(&list(topic, [partition])) {
                tracing::error!(%error, partition, "a partition could not be resumed");
            }
            false
        });
    }

    /// Takes what came, at most a batch of it.
    fn poll(&mut self) {
        let Poller { consumer, topic, partitions, texts, trouble, .. } = self;
        let mut taken = Taken { topic, partitions, texts, batches: HashMap::default(), reset: Vec::new() };
        let mut wait = POLL_WAIT;
        let mut end = None;
        for _ in 0..BATCH_CLICKS_MAX {
            match consumer.poll(wait) {
                Some(Ok(message)) => {
                    trouble.over();
                    end = taken.add(&message).err();
                }
                Some(Err(error @ KafkaError::MessageConsumptionFatal(_))) => {
                    end = Some(StreamError::Lost(error.into()))
                }
                // The client mends it itself, and says no more than this meanwhile.
                Some(Err(error)) if is_trouble(&error) => drop(trouble.met(&error)),
                Some(Err(_)) | None => break,
            }
            if end.is_some() {
                break;
            }
            wait = Duration::ZERO;
        }
        let Taken { batches, reset, .. } = taken;
        self.pending.extend(batches.into_values().map(|batch| Ok(Delivery::Clicks(batch))));
        if let Some(end) = end
            && self.pending.iter().all(Result::is_ok)
        {
            self.pending.push_back(Err(end));
        }
        for partition in reset {
            self.open_again(partition);
        }
    }

    /// A partition has gone back, as it ends before what was read of it: whoever counts it must look whether it still is what was counted. So it is
    /// as well where a group that has read nothing yet begins with what is no more kept.
    fn open_again(&mut self, partition: i32) {
        tracing::info!(partition, "a partition has gone back; looking whether it is what was counted");
        if let Err(error) = self.consumer.pause(&list(&self.topic, [partition])) {
            tracing::error!(%error, partition, "a partition could not be paused");
        }
        self.partitions.insert(partition, None);
        self.pending.push_back(Ok(Delivery::Opened(source(&self.topic, partition))));
    }

    /// Takes note of partitions that were given or taken while polling.
    fn follow_group(&mut self) {
        for change in self.consumer.context().take_changes() {
            match change {
                Change::Given(partition) => {
                    self.trouble.over();
                    self.partitions.insert(partition, None);
                    self.pending.push_back(Ok(Delivery::Opened(source(&self.topic, partition))));
                }
                Change::Taken(partition) => {
                    self.partitions.remove(&partition);
                    self.beginning.retain(|(beginning, _)| *beginning != partition);
                    let source = source(&self.topic, partition);
                    // What is not delivered yet comes to whoever has it now.
                    self.pending.retain(|waiting| !waiting.as_ref().is_ok_and(|delivery| delivery.is_of(&source)));
                    self.pending.push_back(Ok(Delivery::Closed(source)));
                }
            }
            gauge!("septet_consumer_partitions").set(self.partitions.len() as f64);
        }
    }

    /// Hands over what is there; while there is too much, nothing more comes.
    fn deliver(&mut self) {
        while let Some(delivery) = self.pending.pop_front() {
            if let Err(TrySendError::Full(delivery)) = self.deliveries.try_send(delivery) {
                self.pending.push_front(delivery);
                break;
            }
        }
        let is_full = !self.pending.is_empty();
        if is_full != self.is_paused {
            let begun = self.partitions.iter().filter(|(_, next)| next.is_some()).map(|(partition, _)| *partition);
            let begun = list(&self.topic, begun);
            let done = if is_full { self.consumer.pause(&begun) } else { self.consumer.resume(&begun) };
            if let Err(error) = done {
                tracing::error!(%error, "partitions could not be paused or resumed");
            }
            self.is_paused = is_full;
            gauge!("septet_consumer_paused").set(f64::from(u8::from(is_full)));
        }
    }
}

fn list(topic: &str, partitions: impl IntoIterator<Item = i32>) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    for partition in partitions {
        list.add_partition(topic, partition);
    }
    list
}

/// Whether an error of the client is worth a word.
fn is_trouble(error: &KafkaError) -> bool {
    !matches!(error, KafkaError::MessageConsumption(RDKafkaErrorCode::PartitionEOF | RDKafkaErrorCode::NoError))
}

/// What one poll brings.
struct Taken<'a> {
    topic: &'a str,
    partitions: &'a mut HashMap<i32, Option<u64>>,
    texts: &'a mut Texts,
    batches: HashMap<i32, Batch>,
    /// Partitions that have gone back.
    reset: Vec<i32>,
}

impl Taken<'_> {
    fn add(&mut self, message: &BorrowedMessage<'_>) -> Result<(), StreamError> {
        let (partition, offset) = (message.partition(), message.offset().cast_unsigned());
        // What has not begun was on its way already.
        let Some(begun) = self.partitions.get_mut(&partition) else { return Ok(()) };
        let Some(next) = begun else { return Ok(()) };
        if offset < *next {
            *begun = None;
            self.reset.push(partition);
            return Ok(());
        }
        let event = Event::decode(message.payload().unwrap_or_default(), self.texts);
        if let Err(error @ EventError::Unknown) = event {
            let sentence = format!("record {offset} of partition {partition} cannot be counted: {error}");
            return Err(StreamError::Lost(sentence.into()));
        }
        lose(offset - *next, partition);
        *next = offset + 1;
        let batch = self.batches.entry(partition).or_insert_with(|| Batch {
            source: source(self.topic, partition),
            clicks: Vec::new(),
            through: 0,
            gone: Vec::new(),
            sent_in: None,
        });
        batch.through = offset + 1;
        if traces::is_on() && batch.sent_in.is_none() {
            batch.sent_in = message.headers().and_then(sent_in);
        }
        match event {
            Ok(Event::Click(click)) => {
                // Its log has not ended after all.
                batch.gone.retain(|gone| *gone != click.log);
                batch.clicks.push(Sequenced { sequence: offset + 1, click });
            }
            Ok(Event::LogEnded(log)) => batch.gone.push(log),
            Err(error) => unreadable(&error, partition, offset),
        }
        Ok(())
    }
}

/// What a record was sent in, if that is traced. One that is not says nothing of the next.
pub(super) fn sent_in(headers: &impl Headers) -> Option<Traceparent> {
    let value = headers.iter().find(|header| header.key == Traceparent::HEADER)?.value?;
    str::from_utf8(value).ok().and_then(Traceparent::parse).filter(Traceparent::is_sampled)
}

/// Clicks that Kafka has given up before they came here.
fn lose(clicks: u64, partition: i32) {
    if clicks > 0 {
        tracing::error!(clicks, partition, "clicks were gone from Kafka before they were counted");
        counter!("septet_clicks_lost_total").increment(clicks);
    }
}

/// Records that septet did not write hold nothing up; all of them are counted, and some told.
fn unreadable(error: &EventError, partition: i32, offset: u64) {
    counter!("septet_records_unreadable_total").increment(1);
    tracing::debug!(%error, partition, offset, "a record that is no event");
}
