//! The forwarder: takes clicks from the click logs of an instance and writes them to the topic, off the request path.
//!
//! What is sent is trimmed from the click log once it is acknowledged by all in-sync replicas, and everything before it as well. The producer
//! is idempotent and gapless: it never gives up a click while later ones pass, and never gives one up for being late. Where it fails for good, all that is not
//! acknowledged is read from the click log again by a new one.
//!
//! # Limits
//! | limit | when it is reached | metric |
//! |---|---|---|
//! | [`WINDOW_MAX`] clicks on their way, to whichever partition | nothing more is read from the click log: one partition without a leader is so many clicks away from holding up all | `septet_forwarder_in_flight` |
//! | [`QUEUE_KBYTES_MAX`](session::QUEUE_KBYTES_MAX) kilobytes of them, which takes longer texts than clicks have | the same | the same |
//! | [`TRACED_MAX`](window::TRACED_MAX) batches of them traced | further ones are not traced, until one of these is acknowledged; none of what was begun is lost, so that nothing is counted | `septet_forwarder_in_flight` says that it may be so |
//! | the click log's own, while Kafka is away | clicks are dropped, and counted as dropped | `septet_click_log_disk_bytes`, `septet_clicks_dropped_total` |

use std::{
    collections::{BTreeMap, VecDeque},
    path::{Path, PathBuf},
    pin::{Pin, pin},
    sync::Arc,
    time::Duration,
};

use metrics::{counter, describe_counter, describe_gauge, gauge};
use rdkafka::error::KafkaError;
use tokio::{
    task::spawn_blocking,
    time::{Instant, sleep, timeout},
};

use super::{KafkaOptions, event::Event, partitioner, topic::TopicError};
use crate::{
    click::LogId,
    click_log,
    local::LocalStream,
    stream::{Batch, ClickStream, Delivery, StreamError},
    trouble::{Trouble, Work},
};

mod routes;
mod session;
mod trace;
mod window;

use routes::Routes;
pub use routes::RoutesError;
use session::Session;
use window::Sent;

/// Clicks on their way at most.
pub const WINDOW_MAX: usize = 65_536;
/// Clicks read at once.
const BATCH_MAX: usize = 2_048;
/// How long one look for clicks lasts; so long it takes to hear of an acknowledgement while there are none.
const POLL_WAIT: Duration = Duration::from_millis(50);
/// How long a process has to run, without its producer failing, before it says that a log has ended. Requests of a producer that is gone may still be
/// on their way to the brokers: a click in them must find the log's entry, or it counts twice.
pub const LOG_END_DELAY: Duration = Duration::from_secs(60);
/// How long the last ends of logs may take to be told when everything else is done. Longer, Kafka is away: the next process tells them.
const LAST_ENDS_WAIT: Duration = Duration::from_secs(2);
/// Makes a stream of the click logs, once more after every failure.
pub type OpenLogs = Box<dyn FnMut() -> Result<LocalStream, click_log::Error> + Send>;

/// What a forwarder works on.
pub struct Forwarder {
    options: KafkaOptions,
    /// Where it keeps what must outlive the process.
    folder: PathBuf,
    open_logs: OpenLogs,
    /// The highest offset of each log that was ever given to a producer.
    sent: BTreeMap<LogId, u64>,
    /// The highest that was acknowledged by an earlier producer, all before it as well.
    acknowledged: BTreeMap<LogId, u64>,
    /// Logs that have ended, in the click log's files, and are not said to have ended yet. [`routes`] keeps them for longer.
    ended: VecDeque<LogId>,
    /// For so long after the start, and after each failure, no end is told.
    end_delay: Duration,
    ends_told_from: Instant,
}

/// Why forwarding stopped for now.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Topic(#[from] TopicError),
    #[error(transparent)]
    Routes(#[from] RoutesError),
    #[error("the click log cannot be read: {0}")]
    Logs(#[from] click_log::Error),
    #[error(transparent)]
    Stream(#[from] StreamError),
    #[error("Kafka did not take a click: {0}")]
    Producer(#[from] KafkaError),
}

/// Whether a forwarder's producer can be made. Some properties are refused by producers only, or beside what a forwarder sets. Asks no broker.
///
/// # Errors
/// [`TopicError::Setup`].
pub async fn check(options: &KafkaOptions) -> Result<(), TopicError> {
    let options = options.clone();
    let made = spawn_blocking(move || session::producer(&options, Arc::default()).map(drop));
    made.await.expect("making a producer does not panic").map_err(|cause| TopicError::Setup { cause })
}

/// Tells whether the click log beside `folder`'s file may go to the topic.
///
/// # Errors
/// A sentence: clicks of it were sent to another topic, or nobody knows where.
pub fn check_folder(options: &KafkaOptions, folder: &Path) -> Result<(), RoutesError> {
    Routes::read(folder, &options.url.topic).map(drop)
}

impl Forwarder {
    /// A forwarder that keeps its own file in `folder`, beside the click log.
    pub fn new(options: KafkaOptions, folder: PathBuf, open_logs: OpenLogs) -> Self {
        describe();
        gauge!("septet_forwarder_in_flight_max").set(WINDOW_MAX as f64);
        Forwarder {
            options,
            folder,
            open_logs,
            sent: BTreeMap::new(),
            acknowledged: BTreeMap::new(),
            ended: VecDeque::new(),
            end_delay: LOG_END_DELAY,
            ends_told_from: Instant::now() + LOG_END_DELAY,
        }
    }

    /// Tells ends of logs so soon after the start and after each failure, instead of after [`LOG_END_DELAY`].
    pub fn telling_ends_after(self, end_delay: Duration) -> Self {
        Forwarder { end_delay, ends_told_from: Instant::now() + end_delay, ..self }
    }

    /// Forwards until `shutdown` is ready, then what is left, and ends. What fails is tried again for ever, at the end too: the deadline is
    /// the caller's, and dropping this future at any moment loses nothing, as what was not acknowledged stays in the click log. That logs have
    /// ended is told at the end as well, or left to the next process.
    pub async fn run(mut self, shutdown: impl Future<Output = ()> + Send) {
        let mut stopping = Stopping { shutdown: pin!(shutdown), is_ready: false };
        let mut trouble = Trouble::new(Work::Forwarding, "forward");
        loop {
            match self.session(&mut stopping, &mut trouble).await {
                Ok(()) => return,
                Err(failure) => sleep(trouble.met(&failure)).await,
            }
        }
    }

    /// Forwards by one producer, until all is done or it fails. Then its requests may still be on their way for a while.
    async fn session(&mut self, stopping: &mut Stopping<'_>, trouble: &mut Trouble) -> Result<(), Failure> {
        let unsettled = self.sent.iter().filter(|(log, sent)| self.acknowledged.get(log) < Some(sent));
        let unsettled = unsettled.map(|(log, sent)| (*log, *sent)).collect();
        let logs = (self.open_logs)()?;
        // Those that are not told yet are reported again.
        self.ended.clear();
        let mut session = Session::begin(&self.options, &self.folder, logs, &self.acknowledged, unsettled).await?;
        let ended = self.forward(&mut session, stopping, trouble).await;
        self.acknowledged = session.acknowledged();
        // A producer waits for a while for what it cannot deliver any more.
        spawn_blocking(move || drop(session)).await.expect("dropping a producer does not panic");
        if ended.is_err() {
            self.ends_told_from = Instant::now() + self.end_delay;
        }
        ended
    }

    async fn forward(
        &mut self,
        session: &mut Session,
        stopping: &mut Stopping<'_>,
        trouble: &mut Trouble,
    ) -> Result<(), Failure> {
        loop {
            let is_stopping = stopping.look().await;
            session.check()?;
            session.release().await?;
            session.follow_partitions().await?;
            self.tell_end(session).await?;
            let in_flight = session.in_flight();
            gauge!("septet_forwarder_in_flight").set(in_flight as f64);

            let room = WINDOW_MAX.saturating_sub(in_flight).min(BATCH_MAX);
            if room == 0 || session.waits_for_more_partitions().await {
                session.changed(POLL_WAIT).await;
                continue;
            }
            match session.logs.next(room, POLL_WAIT).await? {
                Delivery::Clicks(batch) => self.send(session, batch).await?,
                Delivery::Nothing if is_stopping && session.is_drained().await => {
                    self.tell_last_ends(session).await;
                    return Ok(());
                }
                Delivery::Nothing | Delivery::Opened(_) | Delivery::Closed(_) => {}
            }
            if session.has_acknowledged() {
                trouble.over();
            }
        }
    }

    async fn send(&mut self, session: &mut Session, batch: Batch) -> Result<(), Failure> {
        let count = batch.clicks.len() as u64;
        let mut trace = session.begin_trace(&batch.clicks);
        session.meet(batch.clicks.iter().map(|sequenced| sequenced.click.log));
        for sequenced in batch.clicks {
            let click = sequenced.click;
            let (log, offset) = (click.log, click.offset);
            let sent = self.sent.entry(log).or_default();
            *sent = offset.max(*sent);
            let key = partitioner::key(click.link);
            let partition = partitioner::partition(&key, session.partitions());
            let event = Event::Click(click).encode();
            let traceparent = trace.told_to(partition);
            session.produce(Sent::Click { log, offset }, partition, Some(&key), &event, traceparent).await?;
        }
        session.trace(trace);
        self.ended.extend(batch.gone);
        counter!("septet_clicks_forwarded_total").increment(count);
        Ok(())
    }

    /// Says that a log has ended, once it is safe to say so: one at a time, between clicks.
    async fn tell_end(&mut self, session: &mut Session) -> Result<(), Failure> {
        self.forget_told(session);
        if Instant::now() >= self.ends_told_from
            && let Some(log) = self.ended.pop_front()
        {
            session.tell_end(log).await?;
        }
        Ok(())
    }

    /// Says that the last logs have ended, when all clicks are acknowledged. What cannot be said now, the next process says.
    async fn tell_last_ends(&mut self, session: &mut Session) {
        let told = timeout(LAST_ENDS_WAIT, self.tell_all_ends(session)).await;
        self.forget_told(session);
        match told {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::info!(%error, "that click logs have ended is left to the next start to tell"),
            Err(_) => {
                tracing::info!("that click logs have ended is left to the next start to tell: Kafka does not answer")
            }
        }
    }

    async fn tell_all_ends(&mut self, session: &mut Session) -> Result<(), Failure> {
        // The last acknowledgement has ended the last logs.
        if let Delivery::Clicks(batch) = session.logs.next(0, Duration::ZERO).await? {
            self.ended.extend(batch.gone);
        }
        if Instant::now() < self.ends_told_from {
            return Ok(());
        }
        while let Some(log) = self.ended.pop_front() {
            session.tell_end(log).await?;
        }
        while session.in_flight() > 0 {
            session.check()?;
            session.changed(POLL_WAIT).await;
        }
        Ok(())
    }

    /// Keeps nothing more of logs whose end every partition was told of.
    fn forget_told(&mut self, session: &mut Session) {
        for log in session.take_ended() {
            self.sent.remove(&log);
            self.acknowledged.remove(&log);
        }
    }
}

/// Whether the end is wanted.
struct Stopping<'a> {
    shutdown: Pin<&'a mut (dyn Future<Output = ()> + Send)>,
    is_ready: bool,
}

impl Stopping<'_> {
    async fn look(&mut self) -> bool {
        if !self.is_ready {
            self.is_ready = timeout(Duration::ZERO, self.shutdown.as_mut()).await.is_ok();
        }
        self.is_ready
    }
}

fn describe() {
    describe_counter!("septet_clicks_forwarded_total", "Clicks given to the Kafka producer, repetitions included.");
    describe_counter!("septet_forwarder_failures_total", "Failed attempts, by what was attempted; each is repeated.");
    describe_gauge!("septet_forwarder_in_flight", "Clicks sent and not all acknowledged.");
    describe_gauge!("septet_forwarder_in_flight_max", "The same, at most; then the rest waits in the click log.");
}

#[cfg(test)]
mod tests;
