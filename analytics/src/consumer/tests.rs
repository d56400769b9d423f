//! The consumer between a stream and a store that fail as they are told. Time is paused: no test waits.

use std::{
    collections::BTreeMap,
    io,
    ops::RangeInclusive,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
};

use async_trait::async_trait;
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc};
use traces::testing::Trace;

use super::*;
use crate::{
    click::{Click, LogId, Place},
    query::Totals,
    rollups::{Day, RollupsError, Subject, TotalRow, Wanted},
    stream::{Delivery, Sequenced, StreamError},
};

fn source() -> Source {
    Source("local".to_owned())
}

/// Rows in memory, behind a door that can be shut.
#[derive(Default)]
struct Store {
    rows: Mutex<Rows>,
    progress: Mutex<Progress>,
    /// So many of the next commits fail, the last of them after it took effect: its answer is lost.
    failing: AtomicUsize,
    failing_reads: AtomicUsize,
    /// Reads of rows find them damaged.
    unreadable: AtomicBool,
    /// Days read and commits attempted.
    reads: AtomicUsize,
    commits: AtomicUsize,
    committed: Notify,
}

fn failure() -> RollupsError {
    RollupsError::Unavailable(Box::new(io::Error::other("told to fail")))
}

fn fails(left: &AtomicUsize) -> Option<usize> {
    left.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)).ok()
}

#[async_trait]
impl Rollups for Store {
    async fn progress(&self, _: &Source) -> Result<Progress, RollupsError> {
        Ok(self.progress.lock().clone())
    }

    async fn days(&self, _: &Source, keys: &[(Subject, Day)]) -> Result<Vec<DayRow>, RollupsError> {
        if fails(&self.failing_reads).is_some() {
            return Err(failure());
        }
        if self.unreadable.load(Relaxed) {
            return Err(RollupsError::Unreadable(Box::new(io::Error::other("told to be damaged"))));
        }
        self.reads.fetch_add(keys.len(), Relaxed);
        let rows = self.rows.lock();
        Ok(keys.iter().map(|key| rows.days.get(key).cloned().unwrap_or_default()).collect())
    }

    async fn source_totals(&self, _: &Source, subjects: &[Subject]) -> Result<Vec<TotalRow>, RollupsError> {
        let rows = self.rows.lock();
        Ok(subjects.iter().map(|subject| rows.totals.get(subject).copied().unwrap_or_default()).collect())
    }

    async fn commit(&self, _: &Source, changes: &Changes, progress: &Progress) -> Result<(), RollupsError> {
        self.commits.fetch_add(1, Relaxed);
        let failing = fails(&self.failing);
        if failing.is_none_or(|left| left == 1) {
            let mut rows = self.rows.lock();
            rows.days.extend(changes.days.iter().map(|(subject, day, row)| ((*subject, *day), row.clone())));
            rows.totals.extend(changes.totals.iter().copied());
            *self.progress.lock() = progress.clone();
        }
        match failing {
            Some(_) => Err(failure()),
            None => {
                self.committed.notify_one();
                Ok(())
            }
        }
    }

    async fn read(&self, _: Subject, _: RangeInclusive<Day>, _: Wanted) -> Result<Vec<(Day, DayRow)>, RollupsError> {
        Err(failure())
    }

    async fn totals(&self, _: &[Subject]) -> Result<Vec<Totals>, RollupsError> {
        Err(failure())
    }

    async fn first_day(&self, _: Subject) -> Result<Option<Day>, RollupsError> {
        Err(failure())
    }

    async fn close(&self) {}
}

impl Store {
    async fn next_commit(&self) {
        tokio::time::timeout(Duration::from_secs(60), self.committed.notified()).await.expect("a commit");
    }

    fn clicks(&self, subject: Subject) -> u64 {
        self.rows.lock().totals.get(&subject).map_or(0, |total| total.clicks)
    }

    fn clicks_by_link(&self) -> BTreeMap<u64, u64> {
        let rows = self.rows.lock();
        let of_links = rows.days.iter().filter_map(|((subject, _), row)| match subject {
            Subject::Link(link) => Some((*link, row.clicks.iter().map(|slot| slot.people).sum())),
            Subject::All => None,
        });
        of_links.collect()
    }
}

/// What a stream that a test feeds was told.
#[derive(Default)]
struct Told {
    released: Mutex<Progress>,
    polls: AtomicUsize,
}

/// Delivers what is sent to it; ends when the sender is dropped.
struct Fed {
    from: mpsc::UnboundedReceiver<Batch>,
    told: Arc<Told>,
    opened: bool,
    delivered: u64,
    failing: usize,
    failing_releases: usize,
    lost: bool,
}

fn stream_failure() -> StreamError {
    StreamError::Failed(Box::new(io::Error::other("told to fail")))
}

#[async_trait]
impl ClickStream for Fed {
    async fn next(&mut self, max: usize, wait: Duration) -> Result<Delivery, StreamError> {
        self.told.polls.fetch_add(1, Relaxed);
        if self.failing > 0 {
            self.failing -= 1;
            return Err(stream_failure());
        }
        if self.lost {
            return Err(StreamError::Lost(Box::new(io::Error::other("told to be lost"))));
        }
        if !std::mem::replace(&mut self.opened, true) {
            return Ok(Delivery::Opened(source()));
        }
        let Ok(Some(batch)) = tokio::time::timeout(wait, self.from.recv()).await else {
            return Ok(Delivery::Nothing);
        };
        assert!(batch.clicks.len() <= max);
        self.delivered = self.delivered.max(batch.through);
        Ok(Delivery::Clicks(batch))
    }

    async fn begin(&mut self, _: &Source, _: &Progress) -> Result<(), StreamError> {
        Ok(())
    }

    async fn release(&mut self, _: &Source, progress: &Progress) -> Result<(), StreamError> {
        if self.failing_releases > 0 {
            self.failing_releases -= 1;
            return Err(stream_failure());
        }
        *self.told.released.lock() = progress.clone();
        Ok(())
    }

    fn end(&mut self) {}

    async fn is_drained(&mut self) -> bool {
        self.from.is_empty() && self.told.released.lock().watermark >= self.delivered
    }
}

fn fed() -> (mpsc::UnboundedSender<Batch>, Fed, Arc<Told>) {
    let (send, from) = mpsc::unbounded_channel();
    let told = Arc::new(Told::default());
    (
        send,
        Fed { from, told: told.clone(), opened: false, delivered: 0, failing: 0, failing_releases: 0, lost: false },
        told,
    )
}

/// Clicks of log 1 under the sequence numbers of their places.
fn batch(sequences: RangeInclusive<u64>, links: u64) -> Batch {
    let through = *sequences.end();
    let clicks = sequences.map(|sequence| Sequenced {
        sequence,
        click: Click {
            log: LogId(1),
            offset: sequence * 32,
            at_ms: 0,
            link: sequence % links,
            visitor: sequence,
            bot: false,
            place: Place::default(),
            browser: "Firefox".into(),
            os: "".into(),
            device: "".into(),
            referer: "".into(),
        },
    });
    Batch { source: source(), clicks: clicks.collect(), through, gone: Vec::new(), sent_in: None }
}

// Seen to fail when a failed commit is not repeated: its rows are lost, or what comes next is added to older ones.
#[tokio::test(start_paused = true)]
async fn a_failing_store_loses_nothing_and_counts_nothing_twice() {
    let (send, stream, told) = fed();
    let store = Arc::new(Store::default());
    store.failing.store(7, Relaxed);
    store.failing_reads.store(3, Relaxed);
    for n in 0..5 {
        send.send(batch(n * 10 + 1..=n * 10 + 10, 4)).unwrap();
    }
    Consumer::run(Box::new(stream), store.clone(), ConsumerOptions::default(), async {}).await.unwrap();
    assert_eq!(store.clicks(Subject::All), 50);
    assert_eq!(store.clicks_by_link(), BTreeMap::from([(0, 12), (1, 13), (2, 13), (3, 12)]));
    assert_eq!(told.released.lock().watermark, 50);
}

// Seen to fail when the consumer goes on after a failed commit: what it holds would grow.
#[tokio::test(start_paused = true)]
async fn nothing_is_taken_from_the_stream_while_the_store_fails() {
    let (send, stream, told) = fed();
    let store = Arc::new(Store::default());
    store.failing.store(usize::MAX, Relaxed);
    send.send(batch(1..=1, 1)).unwrap();
    let running = tokio::spawn(Consumer::run(
        Box::new(stream),
        store.clone(),
        ConsumerOptions::default(),
        std::future::pending(),
    ));
    sleep(Duration::from_secs(1)).await;
    let polls = told.polls.load(Relaxed);
    sleep(Duration::from_secs(3_600)).await;
    assert_eq!(told.polls.load(Relaxed), polls);
    assert!(store.commits.load(Relaxed) > 600, "it tries on, at the latest every five seconds");
    assert_eq!(told.released.lock().watermark, 0);
    running.abort();
}

// Seen to fail with a default interval of two seconds.
#[tokio::test(start_paused = true)]
async fn a_single_click_is_committed_within_a_second() {
    let (send, stream, _) = fed();
    let store = Arc::new(Store::default());
    let running = tokio::spawn(Consumer::run(
        Box::new(stream),
        store.clone(),
        ConsumerOptions::default(),
        std::future::pending(),
    ));
    sleep(Duration::from_secs(5)).await;
    send.send(batch(1..=1, 1)).unwrap();
    let began = Instant::now();
    store.next_commit().await;
    assert!(began.elapsed() <= Duration::from_secs(1), "{:?}", began.elapsed());
    running.abort();
}

// Seen to fail when either limit is ignored.
#[tokio::test(start_paused = true)]
async fn what_waits_to_be_written_is_bounded() {
    let slow = ConsumerOptions { commit_interval: Duration::from_secs(3_600), ..ConsumerOptions::default() };
    for options in [
        ConsumerOptions { commit_clicks_max: 100, ..slow.clone() },
        ConsumerOptions { commit_bytes_max: 100 * CLICK_BYTES, ..slow },
    ] {
        let (send, stream, _) = fed();
        let store = Arc::new(Store::default());
        for n in 0..20 {
            send.send(batch(n * 50 + 1..=n * 50 + 50, 1)).unwrap();
        }
        let running = tokio::spawn(Consumer::run(Box::new(stream), store.clone(), options, std::future::pending()));
        sleep(Duration::from_secs(10)).await;
        assert!((9..=20).contains(&store.commits.load(Relaxed)), "{:?}", store.commits);
        running.abort();
    }
}

// Seen to fail when the end does not wait for the stream to be drained, and when a failed release is not repeated.
#[tokio::test(start_paused = true)]
async fn a_shutdown_drains_the_stream() {
    let (send, mut stream, told) = fed();
    (stream.failing, stream.failing_releases) = (3, 2);
    let store = Arc::new(Store::default());
    for n in 1..=20 {
        send.send(batch(n..=n, 3)).unwrap();
    }
    let run = Consumer::run(Box::new(stream), store.clone(), ConsumerOptions::default(), async {});
    tokio::time::timeout(Duration::from_secs(60), run).await.expect("it ends").unwrap();
    assert_eq!(store.clicks(Subject::All), 20);
    assert_eq!(told.released.lock().watermark, 20);
}

// A cache with room for next to nothing counts the same, and reads more. Seen to fail when an evicted row is taken for new.
#[tokio::test(start_paused = true)]
async fn what_is_evicted_is_read_again() {
    let mut reads = Vec::new();
    for cache_bytes_max in [64 << 20, 10_000] {
        let (send, stream, _) = fed();
        let store = Arc::new(Store::default());
        for n in 0..40 {
            send.send(batch(n * 50 + 1..=n * 50 + 50, 100)).unwrap();
        }
        let options = ConsumerOptions { cache_bytes_max, commit_clicks_max: 50, ..ConsumerOptions::default() };
        let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
        let _recording = metrics::set_default_local_recorder(&recorder);
        Consumer::run(Box::new(stream), store.clone(), options, async {}).await.unwrap();
        let shown = recorder.handle().render();
        assert!(shown.contains(&format!("septet_rollup_cache_bytes_max {cache_bytes_max}\n")), "{shown}");
        assert_eq!(store.clicks_by_link(), (0..100).map(|link| (link, 20)).collect());
        reads.push(store.reads.load(Relaxed));
    }
    assert_eq!(reads[0], 101, "every link's day and all links', once");
    assert!(reads[1] > 1_000, "{reads:?}");
}

// Seen to fail when `gone` is ignored, and when it does not lead to a commit of its own.
#[tokio::test(start_paused = true)]
async fn a_log_that_is_gone_leaves_the_progress() {
    let (send, stream, _) = fed();
    let store = Arc::new(Store::default());
    send.send(batch(1..=3, 1)).unwrap();
    let running = tokio::spawn(Consumer::run(
        Box::new(stream),
        store.clone(),
        ConsumerOptions::default(),
        std::future::pending(),
    ));
    store.next_commit().await;
    assert_eq!(store.progress.lock().logs, BTreeMap::from([(LogId(1), 96)]));
    send.send(Batch { source: source(), clicks: Vec::new(), through: 3, gone: vec![LogId(1)], sent_in: None }).unwrap();
    store.next_commit().await;
    assert_eq!(*store.progress.lock(), Progress { watermark: 3, logs: BTreeMap::new() });
    running.abort();
}

fn traced(trace: &Trace, batch: Batch) -> Batch {
    Batch { sent_in: Some(trace.parent().clone()), ..batch }
}

/// Seen to fail when a batch without clicks was traced, when one of a source that is not open was, and when one whose source was closed had a commit.
#[tokio::test(start_paused = true)]
async fn traced_is_what_is_counted_up_to_its_own_commit() {
    let (trace, store) = (Trace::begin(), Arc::new(Store::default()));
    let (_send, mut stream, _) = fed();
    let mut consumer = Consumer::new(store, ConsumerOptions::default());
    let (lost, unknown) = (Source("lost".to_owned()), Source("unknown".to_owned()));
    let gone = Batch { clicks: Vec::new(), gone: vec![LogId(9)], ..batch(3..=3, 1) };
    for delivery in [
        Delivery::Opened(source()),
        Delivery::Opened(lost.clone()),
        Delivery::Clicks(traced(&trace, batch(1..=3, 1))),
        Delivery::Clicks(traced(&trace, Batch { source: lost.clone(), ..batch(1..=3, 1) })),
        Delivery::Clicks(traced(&trace, Batch { source: unknown, ..batch(1..=3, 1) })),
        Delivery::Clicks(traced(&trace, gone)),
        Delivery::Closed(lost),
    ] {
        consumer.take(delivery, &mut stream).await.unwrap();
    }
    let names = || trace.ended().into_iter().map(|span| span.name).collect::<Vec<_>>();
    let before = ["load rows", "fold", "load rows", "fold", "count clicks"];
    assert_eq!(names(), before);
    consumer.commit().await.unwrap();
    assert_eq!(names(), [&before[..], &["commit", "count clicks"]].concat());
    assert!(trace.ended().iter().all(|span| !span.failed));
}

/// Seen to fail without the limit, and when each source had one of its own.
#[tokio::test(start_paused = true)]
async fn of_so_many_batches_the_commit_is_traced_and_of_no_more() {
    let (trace, store) = (Trace::begin(), Arc::new(Store::default()));
    let (_send, mut stream, _) = fed();
    let mut consumer = Consumer::new(store, ConsumerOptions::default());
    let sources = ["one", "two"].map(|name| Source(name.to_owned()));
    for source in &sources {
        consumer.take(Delivery::Opened(source.clone()), &mut stream).await.unwrap();
    }
    for (at, source) in (1..).zip(sources.iter().cycle()).take(TRACED_MAX + 4) {
        consumer.count(traced(&trace, Batch { source: source.clone(), ..batch(at..=at, 1) })).await.unwrap();
    }
    assert_eq!(trace.failures("count clicks").len(), 4);
    consumer.commit().await.unwrap();
    assert_eq!(trace.failures("commit"), vec![false; TRACED_MAX]);
    assert_eq!(trace.failures("count clicks").len(), TRACED_MAX + 4);
    assert_eq!(consumer.traced(), 0);
}

/// One click of each of these logs.
fn of_logs(logs: impl IntoIterator<Item = u64>, from: u64) -> Batch {
    let logs: Vec<_> = logs.into_iter().collect();
    let mut batch = batch(from..=from + logs.len() as u64 - 1, 1);
    for (sequenced, log) in batch.clicks.iter_mut().zip(logs) {
        sequenced.click.log = LogId(log);
    }
    batch
}

fn kept(store: &Store) -> Vec<u64> {
    store.progress.lock().logs.keys().map(|log| log.0).collect()
}

// Seen to fail when none was forgotten, and when those were that had just been heard of.
#[tokio::test(start_paused = true)]
async fn of_too_many_logs_those_go_that_were_not_heard_of() {
    let store = Arc::new(Store::default());
    let (send, stream, _) = fed();
    let options = ConsumerOptions { logs_max: 32, ..ConsumerOptions::default() };
    let running = tokio::spawn(Consumer::run(Box::new(stream), store.clone(), options, std::future::pending()));
    send.send(of_logs(1..=30, 1)).unwrap();
    store.next_commit().await;
    send.send(of_logs(31..=40, 31)).unwrap();
    store.next_commit().await;
    assert_eq!(kept(&store).len(), 40, "all of them were just heard of");
    tokio::time::advance(FORGOTTEN_AFTER).await;
    send.send(of_logs([50], 41)).unwrap();
    store.next_commit().await;
    assert_eq!(kept(&store), (12..=40).chain([50]).collect::<Vec<_>>(), "nobody was silent: the first of them go");
    tokio::time::advance(FORGOTTEN_AFTER).await;
    send.send(of_logs([12, 13, 14, 51, 52, 53, 54], 42)).unwrap();
    store.next_commit().await;
    let expected: Vec<_> = [12, 13, 14].into_iter().chain(22..=40).chain([50, 51, 52, 53, 54]).collect();
    assert_eq!(kept(&store)[..3], expected[..3], "those who were heard of stay");
    assert_eq!(kept(&store).len(), 30);
    assert_eq!(store.clicks(Subject::All), 48);
    running.abort();
}

// Whoever has just opened a source knows nobody's silence yet. Seen to fail when all but the first to be heard of went.
#[tokio::test(start_paused = true)]
async fn nothing_is_forgotten_soon_after_the_start_unless_there_are_twice_as_many() {
    let store = Arc::new(Store::default());
    let deliver = async |logs: std::ops::RangeInclusive<u64>| {
        let (send, stream, _) = fed();
        send.send(of_logs(logs.clone(), *logs.start())).unwrap();
        let options = ConsumerOptions { logs_max: 32, ..ConsumerOptions::default() };
        Consumer::run(Box::new(stream), store.clone(), options, async {}).await.unwrap();
        kept(&store).len()
    };
    assert_eq!(deliver(1..=50).await, 50);
    assert_eq!(deliver(51..=64).await, 64);
    assert_eq!(deliver(65..=65).await, 30);
}

// By the log of the click counted last, a stream tells whether it is what was counted. Seen to fail when it went with the others.
#[tokio::test(start_paused = true)]
async fn the_log_of_the_last_click_stays() {
    let store = Arc::new(Store::default());
    let (send, stream, _) = fed();
    send.send(of_logs([6, 5, 4, 3, 2, 1], 1)).unwrap();
    let options = ConsumerOptions { logs_max: 2, ..ConsumerOptions::default() };
    Consumer::run(Box::new(stream), store.clone(), options, async {}).await.unwrap();
    assert_eq!((kept(&store).len(), kept(&store)[0]), (2, 1));
}

// A consumer that starts after a crash goes on where the store is. Seen to fail when the progress is not read.
#[tokio::test(start_paused = true)]
async fn a_replay_after_a_crash_counts_once() {
    let store = Arc::new(Store::default());
    let deliver = async |batches: Vec<Batch>| {
        let (send, stream, _) = fed();
        batches.into_iter().for_each(|batch| send.send(batch).unwrap());
        Consumer::run(Box::new(stream), store.clone(), ConsumerOptions::default(), async {}).await.unwrap();
    };
    deliver(vec![batch(1..=30, 3)]).await;
    let mut again = batch(11..=40, 3);
    (31..).zip(&mut again.clicks).for_each(|(sequence, click)| click.sequence = sequence);
    deliver(vec![again]).await;
    assert_eq!(store.clicks(Subject::All), 40);
}

// Rather than waiting for ever for what cannot come: whoever runs the consumer stops, and starts anew. Seen to fail when either error is
// met by trying again.
#[tokio::test(start_paused = true)]
async fn what_cannot_be_helped_ends_it_with_a_sentence() {
    let (send, mut stream, told) = fed();
    stream.lost = true;
    let lost = ended(stream, Arc::default()).await;
    assert!(matches!(lost, ConsumerError::Stream(StreamError::Lost(_))), "{lost}");
    assert_eq!(lost.to_string(), "clicks are not counted any more: the click stream is lost: told to be lost");
    assert_eq!(told.polls.load(Relaxed), 1);
    drop(send);

    let (send, stream, told) = fed();
    send.send(batch(1..=3, 1)).unwrap();
    let store = Store { unreadable: true.into(), ..Store::default() };
    let damaged = ended(stream, Arc::new(store)).await;
    assert!(matches!(damaged, ConsumerError::Rollups(RollupsError::Unreadable(_))), "{damaged}");
    assert!(damaged.to_string().contains("told to be damaged"), "{damaged}");
    assert_eq!(told.released.lock().watermark, 0, "what was not counted comes again");
}

async fn ended(stream: Fed, store: Arc<Store>) -> ConsumerError {
    let run = Consumer::run(Box::new(stream), store, ConsumerOptions::default(), std::future::pending());
    tokio::time::timeout(Duration::from_secs(60), run).await.expect("it ends").unwrap_err()
}
