//! A topic, and a group of consumers who hear late of what moves.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use analytics::{
    click::{Click, LogId, Place},
    stream::{Batch, ClickStream, Delivery, Progress, Sequenced, Source, StreamError},
};
use async_trait::async_trait;
use parking_lot::Mutex;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use tokio::time::{Instant, sleep, sleep_until};

use crate::world::{Broken, NOON_MS};

/// The latest that a consumer hears that a partition is another's.
const HEARD_LATE_MAX_MS: u64 = 3_000;

/// How often the topic does not answer.
const FAILING: f64 = 0.05;

/// The `n`th click of a log: everything about it follows from its name.
pub fn click(log: u64, n: u64, links: u64) -> Click {
    let mixed = (log * 1_000 + n).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    Click {
        log: LogId(log),
        offset: (n + 1) * 32,
        at_ms: NOON_MS + (mixed % 3_600_000) as i64,
        link: mixed % links,
        visitor: mixed % 7,
        bot: mixed.is_multiple_of(5),
        place: Place::default(),
        browser: ["Firefox", "Safari", "Edge"][(mixed % 3) as usize].into(),
        os: "".into(),
        device: "".into(),
        referer: "".into(),
    }
}

pub fn source(partition: usize) -> Source {
    Source(format!("clicks/{partition}"))
}

/// What a partition has at an offset.
#[derive(Debug, Clone)]
enum Record {
    Click(Click),
    /// Nothing more will come of this log.
    LogEnded(LogId),
}

/// What is in the topic, and who has which partition.
#[derive(Debug)]
pub struct Topic {
    partitions: Vec<Mutex<Vec<Record>>>,
    owners: Mutex<Vec<u64>>,
}

impl Topic {
    pub fn new(partitions: usize) -> Arc<Self> {
        Arc::new(Topic {
            partitions: (0..partitions).map(|_| Mutex::default()).collect(),
            owners: Mutex::new(vec![0; partitions]),
        })
    }

    pub fn append(&self, click: Click) {
        self.partitions[self.partition_of(click.link)].lock().push(Record::Click(click));
    }

    /// Every partition may have clicks of the log.
    pub fn end(&self, log: u64) {
        self.partitions.iter().for_each(|partition| partition.lock().push(Record::LogEnded(LogId(log))));
    }

    pub fn partition_of(&self, link: u64) -> usize {
        link as usize % self.partitions.len()
    }

    pub fn len(&self, partition: usize) -> u64 {
        self.partitions[partition].lock().len() as u64
    }

    pub fn count(&self) -> usize {
        self.partitions.len()
    }

    pub fn give(&self, partition: usize, consumer: u64) {
        self.owners.lock()[partition] = consumer;
    }
}

/// A partition that a consumer believes to have.
#[derive(Debug)]
struct Held {
    /// The next offset, once it has begun.
    next: Option<usize>,
    /// When the consumer hears that it has it no more.
    taken_at: Option<Instant>,
}

/// One consumer's view.
#[derive(Debug)]
pub struct View {
    topic: Arc<Topic>,
    consumer: u64,
    random: StdRng,
    held: BTreeMap<usize, Held>,
    broken: Option<Broken>,
}

impl View {
    pub fn new(topic: &Arc<Topic>, consumer: u64, seed: u64, broken: Option<Broken>) -> Self {
        let random = StdRng::seed_from_u64(seed ^ consumer << 32);
        View { topic: Arc::clone(topic), consumer, random, held: BTreeMap::new(), broken }
    }

    /// A change of what this consumer has, if it is time to hear of one.
    fn change(&mut self) -> Option<Delivery> {
        let owners = self.topic.owners.lock().clone();
        for (partition, owner) in owners.into_iter().enumerate() {
            let is_ours = owner == self.consumer;
            match self.held.get_mut(&partition) {
                None if is_ours => {
                    self.held.insert(partition, Held { next: None, taken_at: None });
                    return Some(Delivery::Opened(source(partition)));
                }
                Some(held) if !is_ours => {
                    let late = Duration::from_millis(self.random.random_range(0..HEARD_LATE_MAX_MS));
                    let taken_at = *held.taken_at.get_or_insert_with(|| Instant::now() + late);
                    if Instant::now() >= taken_at {
                        self.held.remove(&partition);
                        return Some(Delivery::Closed(source(partition)));
                    }
                }
                // It has come back before it was missed: for the group it was away.
                Some(held) if held.taken_at.is_some() => {
                    *held = Held { next: None, taken_at: None };
                    return Some(Delivery::Opened(source(partition)));
                }
                _ => {}
            }
        }
        None
    }

    fn clicks(&mut self, max: usize) -> Option<Batch> {
        for (partition, held) in &mut self.held {
            let Some(next) = held.next else { continue };
            let records = self.topic.partitions[*partition].lock();
            let until = records.len().min(next + self.random.random_range(1..=max.min(9)));
            if next >= until {
                continue;
            }
            let (mut clicks, mut gone) = (Vec::new(), Vec::new());
            for (at, record) in records[next..until].iter().enumerate() {
                let sequence = (next + at + 1) as u64;
                match record.clone() {
                    Record::Click(mut click) => {
                        gone.retain(|gone| *gone != click.log);
                        if self.broken == Some(Broken::NoLogs) {
                            click.log = LogId(sequence);
                        }
                        clicks.push(Sequenced { sequence, click });
                    }
                    Record::LogEnded(log) => gone.push(log),
                }
            }
            held.next = Some(until);
            return Some(Batch { source: source(*partition), clicks, through: until as u64, gone, sent_in: None });
        }
        None
    }
}

#[async_trait]
impl ClickStream for View {
    async fn next(&mut self, max: usize, wait: Duration) -> Result<Delivery, StreamError> {
        if self.random.random_bool(FAILING) {
            return Err(StreamError::Failed("the topic does not answer".into()));
        }
        let deadline = Instant::now() + wait;
        loop {
            if let Some(change) = self.change() {
                return Ok(change);
            }
            if let Some(batch) = self.clicks(max) {
                return Ok(Delivery::Clicks(batch));
            }
            if Instant::now() >= deadline {
                return Ok(Delivery::Nothing);
            }
            sleep_until(deadline.min(Instant::now() + Duration::from_millis(20))).await;
        }
    }

    async fn begin(&mut self, source: &Source, progress: &Progress) -> Result<(), StreamError> {
        sleep(Duration::from_millis(1)).await;
        if self.random.random_bool(FAILING) {
            return Err(StreamError::Failed("the topic does not answer".into()));
        }
        let partition = source.0.rsplit_once('/').and_then(|(_, number)| number.parse().ok());
        if let Some(held) = partition.and_then(|partition: usize| self.held.get_mut(&partition)) {
            held.next = Some(progress.watermark as usize);
        }
        Ok(())
    }

    async fn release(&mut self, _: &Source, _: &Progress) -> Result<(), StreamError> {
        Ok(())
    }

    fn end(&mut self) {}

    async fn is_drained(&mut self) -> bool {
        true
    }
}
