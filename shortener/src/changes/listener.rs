//! Hears what all instances change, on a thread of its own.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{Builder, JoinHandle},
    time::{Duration, Instant},
};

use analytics::kafka::{KafkaOptions, Quiet};
use rdkafka::{
    Message, Offset, TopicPartitionList,
    config::FromClientConfigAndContext,
    consumer::{BaseConsumer, Consumer},
    error::{KafkaError, RDKafkaErrorCode},
};

use super::{event::Event, teller::Teller};
use crate::{clock, key::Key, metrics, redirect::cache::Cache};

/// How often an instance says that it is there.
const BEAT_INTERVAL: Duration = Duration::from_millis(500);
/// How long one poll waits.
const POLL_WAIT: Duration = Duration::from_millis(50);
/// Beats whose time of sending is kept: older ones are out of date anyway.
const BEATS_MAX: usize = 16;
/// How long to wait before a broken stream is begun anew.
const ANEW_AFTER: Duration = Duration::from_secs(1);

/// Listens until it is dropped.
pub(super) struct Listener {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Listener {
    pub fn start(options: &KafkaOptions, teller: Teller, cache: Arc<Cache>) -> anyhow::Result<Self> {
        let mut config = options.config();
        config
            .set("group.id", "septet-changes-is-read-without-a-group")
            .set("enable.auto.commit", "false")
            // What was missed is not to be passed over in silence.
            .set("auto.offset.reset", "error")
            .set("fetch.wait.max.ms", "100")
            .set("queued.max.messages.kbytes", "4096")
            .set("reconnect.backoff.max.ms", "1000");
        let consumer = BaseConsumer::from_config_and_context(&config, Quiet)?;
        let stop = Arc::new(AtomicBool::new(false));
        let listening = Listening {
            consumer,
            topic: options.url.topic.clone(),
            teller,
            cache,
            beats: VecDeque::new(),
            is_new: true,
            stop: Arc::clone(&stop),
        };
        let thread = Builder::new().name("changes".to_owned()).spawn(move || listening.run())?;
        Ok(Listener { stop, thread: Some(thread) })
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Listening {
    consumer: BaseConsumer<Quiet>,
    topic: String,
    teller: Teller,
    cache: Arc<Cache>,
    /// Own beats that did not come back yet, and when each was sent.
    beats: VecDeque<(u64, i64)>,
    /// No beat has come since the stream was begun: what was changed before may have been missed.
    is_new: bool,
    stop: Arc<AtomicBool>,
}

impl Listening {
    fn run(mut self) {
        while !self.stop.load(Ordering::Relaxed) {
            if let Err(error) = self.listen() {
                metrics::changes_stream_broken();
                tracing::debug!(%error, "changes of other instances are not heard; beginning anew");
                std::thread::sleep(ANEW_AFTER);
            }
        }
    }

    /// Hears everything from now on, until it breaks off or is stopped.
    fn listen(&mut self) -> Result<(), KafkaError> {
        let mut from_now_on = TopicPartitionList::new();
        from_now_on.add_partition_offset(&self.topic, 0, Offset::End)?;
        self.consumer.assign(&from_now_on)?;
        self.is_new = true;
        let mut beat_at = Instant::now();
        while !self.stop.load(Ordering::Relaxed) {
            if Instant::now() >= beat_at {
                self.beat();
                beat_at = Instant::now() + BEAT_INTERVAL;
            }
            match self.consumer.poll(POLL_WAIT) {
                Some(Ok(message)) => {
                    let event = serde_json::from_slice(message.payload().unwrap_or_default()).ok();
                    drop(message);
                    if let Some(event) = event {
                        self.hear(event);
                    }
                }
                // The client mends its connections itself, and reads on where it was.
                Some(Err(KafkaError::MessageConsumption(
                    RDKafkaErrorCode::AllBrokersDown | RDKafkaErrorCode::BrokerTransportFailure,
                )))
                | None => {}
                Some(Err(error)) => return Err(error),
            }
        }
        Ok(())
    }

    fn beat(&mut self) {
        self.beats.truncate(BEATS_MAX);
        let sent_ms = clock::uptime_ms();
        self.beats.push_front((self.teller.beat(), sent_ms));
    }

    fn hear(&mut self, event: Event) {
        if let Some(number) = self.teller.own_beat(&event) {
            let Some(place) = self.beats.iter().position(|(beat, _)| *beat == number) else { return };
            let (_, sent_ms) = self.beats[place];
            // Those before it are answered by it.
            self.beats.truncate(place);
            if std::mem::replace(&mut self.is_new, false) {
                self.cache.distrust_before(clock::uptime_ms());
            }
            self.cache.heard_all_until(sent_ms);
        } else if let Event::Changed { key } = event {
            metrics::change_heard();
            self.cache.invalidate(&Key::from_stored(&key));
        }
    }
}
