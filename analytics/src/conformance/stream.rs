//! The suite of the seam "clicks in transit": every [`ClickStream`] passes it, on an empty harness for each function.
//! [`all`] runs the whole of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use async_trait::async_trait;
use tokio::time::Instant;

use crate::{
    click::LogId,
    stream::{Batch, ClickStream, Delivery, Progress, Sequenced, Source},
};

/// What must happen, happens within this.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long one call waits.
const WAIT: Duration = Duration::from_millis(500);
const MAX: usize = 64;

/// Something that clicks can be appended to, and read from by a stream.
#[async_trait]
pub trait StreamHarness: Send {
    /// Appends a click of `link` to a log, made at the first click under this number. Answers the click's name.
    async fn append(&mut self, log: usize, link: u64) -> (LogId, u64);

    /// Nothing is appended to this log any more; its number is free.
    async fn seal(&mut self, log: usize);

    /// The process that writes the logs is gone and another one is there; all logs end. No stream is open while this is
    /// called.
    async fn restart(&mut self);

    /// Opens a stream. The one before was dropped, whatever it was doing.
    async fn open(&mut self) -> Box<dyn ClickStream>;
}

/// Runs the suite, each part on a harness of its own.
pub async fn all<H: StreamHarness>(mut harness: impl AsyncFnMut() -> H) {
    delivers_in_order_without_loss(&mut harness().await).await;
    delivers_while_appending(&mut harness().await).await;
    answers_empty_when_nothing_comes(&mut harness().await).await;
    replays_what_was_not_released(&mut harness().await).await;
    never_repeats_what_was_released(&mut harness().await).await;
    reports_logs_that_are_gone(&mut harness().await).await;
}

/// A consumer that counts each click once, and checks what the contract says of every batch.
#[derive(Default)]
struct Consumer {
    progress: BTreeMap<Source, Progress>,
    /// In the order in which they were counted.
    counted: Vec<(LogId, u64, u64)>,
    /// Of each source, as one may be ahead of another.
    gone: BTreeMap<Source, BTreeSet<LogId>>,
    /// Whether the stream that is open has opened a source.
    has_begun: bool,
}

impl Consumer {
    async fn open(&mut self, harness: &mut impl StreamHarness) -> Box<dyn ClickStream> {
        self.has_begun = false;
        harness.open().await
    }

    /// Takes what comes next, if anything does; a source that opens begins where it was counted to.
    async fn next(&mut self, stream: &mut dyn ClickStream, wait: Duration) -> Delivery {
        let delivery = stream.next(MAX, wait).await.expect("the stream delivers");
        self.take(stream, delivery.clone()).await;
        delivery
    }

    async fn take(&mut self, stream: &mut dyn ClickStream, delivery: Delivery) {
        match delivery {
            Delivery::Opened(source) => {
                let progress = self.progress.entry(source.clone()).or_default();
                stream.begin(&source, progress).await.expect("the stream begins");
                self.has_begun = true;
            }
            Delivery::Clicks(batch) => self.count_batch(batch, MAX),
            Delivery::Closed(source) => panic!("nobody else could have {source:?}"),
            Delivery::Nothing => {}
        }
    }

    fn count_batch(&mut self, batch: Batch, max: usize) {
        assert!(batch.clicks.len() <= max, "{} clicks, and at most {max} were asked for", batch.clicks.len());
        let gone = self.gone.entry(batch.source.clone()).or_default();
        let progress = self.progress.entry(batch.source).or_default();
        for Sequenced { sequence, click } in batch.clicks {
            assert!(sequence > progress.watermark, "sequence {sequence} after {}", progress.watermark);
            assert!(!gone.contains(&click.log), "a click of log {} that was reported gone", click.log);
            progress.watermark = sequence;
            let highest = progress.logs.entry(click.log).or_default();
            if click.offset > *highest {
                *highest = click.offset;
                self.counted.push((click.log, click.offset, click.link));
            }
        }
        assert!(batch.through >= progress.watermark, "{} after {}", batch.through, progress.watermark);
        progress.watermark = batch.through;
        for log in batch.gone {
            progress.logs.remove(&log);
            gone.insert(log);
        }
    }

    /// Counts until `count` clicks were counted altogether.
    async fn count(&mut self, stream: &mut dyn ClickStream, count: usize) {
        let deadline = Instant::now() + PATIENCE;
        while self.counted.len() < count {
            assert!(Instant::now() < deadline, "{} of {count} clicks were delivered", self.counted.len());
            self.next(stream, WAIT).await;
        }
    }

    /// Takes until nothing comes any more.
    async fn settle(&mut self, stream: &mut dyn ClickStream) {
        let deadline = Instant::now() + PATIENCE;
        while self.next(stream, WAIT).await != Delivery::Nothing || !self.has_begun {
            assert!(Instant::now() < deadline, "the stream does not come to rest");
        }
    }

    async fn release(&self, stream: &mut dyn ClickStream) {
        for (source, progress) in &self.progress {
            stream.release(source, progress).await.expect("the stream releases");
        }
    }

    /// What was counted, for each log.
    fn by_log(&self) -> BTreeMap<LogId, Vec<(u64, u64)>> {
        by_log(&self.counted)
    }
}

/// A click that came behind a later one of its log and source was not counted, so it is missing.
fn by_log(clicks: &[(LogId, u64, u64)]) -> BTreeMap<LogId, Vec<(u64, u64)>> {
    let mut logs = BTreeMap::<_, Vec<_>>::new();
    for (log, offset, link) in clicks {
        logs.entry(*log).or_default().push((*offset, *link));
    }
    logs.values_mut().for_each(|clicks| clicks.sort_unstable());
    logs
}

/// Appends `count` clicks to three logs in turns.
async fn append(harness: &mut impl StreamHarness, count: u64) -> Vec<(LogId, u64, u64)> {
    let mut appended = Vec::new();
    for link in 0..count {
        let (log, offset) = harness.append(link as usize % 3, link).await;
        appended.push((log, offset, link));
    }
    appended
}

/// Clicks of one log come in the order in which they were appended, without gaps.
pub async fn delivers_in_order_without_loss(harness: &mut impl StreamHarness) {
    let appended = append(harness, 1000).await;
    let mut consumer = Consumer::default();
    let mut stream = consumer.open(harness).await;
    consumer.count(&mut *stream, appended.len()).await;
    assert!(consumer.by_log() == by_log(&appended), "other clicks came than were appended");
}

/// A call that waits delivers what is appended meanwhile, to logs made meanwhile too.
pub async fn delivers_while_appending(harness: &mut impl StreamHarness) {
    let mut consumer = Consumer::default();
    let mut stream = consumer.open(harness).await;
    let mut appended = Vec::new();
    consumer.settle(&mut *stream).await;
    for log in 0..3 {
        let (delivery, click) = tokio::join!(stream.next(MAX, PATIENCE), harness.append(log, 7));
        consumer.take(&mut *stream, delivery.expect("the stream delivers")).await;
        appended.push((click.0, click.1, 7));
        consumer.count(&mut *stream, appended.len()).await;
    }
    assert!(consumer.by_log() == by_log(&appended), "other clicks came than were appended");
}

/// With nothing to deliver, this is said after the wait.
pub async fn answers_empty_when_nothing_comes(harness: &mut impl StreamHarness) {
    let mut consumer = Consumer::default();
    let mut stream = consumer.open(harness).await;
    consumer.settle(&mut *stream).await;
}

/// What was delivered and not released comes again, under the same names and in the same order of each log.
pub async fn replays_what_was_not_released(harness: &mut impl StreamHarness) {
    let appended = append(harness, 300).await;
    let mut consumer = Consumer::default();
    let mut stream = consumer.open(harness).await;
    consumer.count(&mut *stream, 100).await;
    consumer.release(&mut *stream).await;
    let released =
        Consumer { progress: consumer.progress.clone(), counted: consumer.counted.clone(), ..Consumer::default() };
    consumer.count(&mut *stream, 300).await;
    drop(stream);

    for restarted in [false, true] {
        if restarted {
            harness.restart().await;
        }
        let mut consumer =
            Consumer { progress: released.progress.clone(), counted: released.counted.clone(), ..Consumer::default() };
        let mut stream = consumer.open(harness).await;
        consumer.count(&mut *stream, 300).await;
        assert!(consumer.by_log() == by_log(&appended), "other clicks than were appended; restarted: {restarted}");
    }
}

/// What was released never comes again, to a stream opened later either.
pub async fn never_repeats_what_was_released(harness: &mut impl StreamHarness) {
    append(harness, 300).await;
    let mut consumer = Consumer::default();
    let mut stream = consumer.open(harness).await;
    consumer.count(&mut *stream, 300).await;
    consumer.release(&mut *stream).await;
    drop(stream);

    for restarted in [false, true] {
        if restarted {
            harness.restart().await;
        }
        let mut stream = consumer.open(harness).await;
        consumer.settle(&mut *stream).await;
        assert_eq!(consumer.counted.len(), 300, "restarted: {restarted}");
    }
}

/// A log that has ended is reported gone once nothing of it comes any more; a log that is written is not.
pub async fn reports_logs_that_are_gone(harness: &mut impl StreamHarness) {
    let appended = append(harness, 30).await;
    let mut consumer = Consumer::default();
    let mut stream = consumer.open(harness).await;
    consumer.count(&mut *stream, 30).await;
    harness.seal(0).await;
    harness.seal(1).await;
    consumer.settle(&mut *stream).await;

    consumer.release(&mut *stream).await;
    let sealed = BTreeSet::from([appended[0].0, appended[1].0]);
    let deadline = Instant::now() + PATIENCE;
    let told = |consumer: &Consumer| consumer.gone.values().all(|gone| *gone == sealed);
    while !told(&consumer) {
        assert!(Instant::now() < deadline, "gone: {:?}, not {sealed:?}", consumer.gone);
        consumer.next(&mut *stream, WAIT).await;
    }
    consumer.settle(&mut *stream).await;
    assert!(told(&consumer), "gone: {:?}, not {sealed:?}", consumer.gone);
}
