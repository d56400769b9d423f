//! The consumer: takes clicks from a stream, folds them, writes the rows. One task, one stream, any number of sources.
//!
//! It never drops a click and never folds one twice: what it could not write it writes again, the same absolute values, until
//! the store takes them, and meanwhile takes nothing from the stream. What waits there is the stream's to bound.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use futures::future::try_join_all;
use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use tokio::time::{Instant, sleep};
use traces::{Kind, Span};

use crate::{
    batch_span,
    click::LogId,
    fold::{Folded, Rows, fold, touched},
    rollups::{Changes, DayRow, Rollups, RollupsError},
    stream::{BATCH_CLICKS_MAX, Batch, ClickStream, Delivery, Progress, Source, StreamError},
    trouble::{Trouble, Work},
};

mod cache;
mod retry;

use cache::RowCache;
use retry::until_done;

/// How much the consumer takes on, and how soon it writes.
#[derive(Debug, Clone)]
pub struct ConsumerOptions {
    /// Clicks are committed at the latest this long after they came from the stream.
    pub commit_interval: Duration,
    /// Clicks taken from the stream at once.
    pub batch_clicks_max: usize,
    /// Clicks folded before a commit, at most (and one batch more).
    pub commit_clicks_max: usize,
    /// Bytes of rows changed before a commit, at most about (and one batch's rows more).
    pub commit_bytes_max: usize,
    /// Bytes of unchanged rows kept in memory, about, so that they need not be read again. A row that does not fit is forgotten: it
    /// was written before.
    pub cache_bytes_max: usize,
    /// Click logs of one source whose offsets are kept. Of more, some go that were not heard of for [`FORGOTTEN_AFTER`], or since the source
    /// was opened, at once only where there are twice as many: if one of them comes to repeat clicks after all, these count twice. Instances
    /// tell when their logs have ended.
    pub logs_max: usize,
}

impl Default for ConsumerOptions {
    fn default() -> Self {
        ConsumerOptions {
            commit_interval: Duration::from_millis(400),
            batch_clicks_max: BATCH_CLICKS_MAX,
            commit_clicks_max: 131_072,
            commit_bytes_max: 64 << 20,
            cache_bytes_max: 128 << 20,
            logs_max: 16_384,
        }
    }
}

/// So long a click log is not heard of before it may be forgotten.
pub const FORGOTTEN_AFTER: Duration = Duration::from_secs(600);

/// Of too many click logs, so many more go as this part of the most, that it need not be done for each.
const FORGOTTEN_PART: usize = 16;

/// How long the stream may wait for a first click; so long it takes to hear of the shutdown.
const POLL_WAIT: Duration = Duration::from_millis(250);

/// The same while draining, when clicks no longer come from outside.
const DRAIN_WAIT: Duration = Duration::from_millis(10);

/// What a click adds to the rows it changes, in bytes, for the estimate of what waits to be written.
const CLICK_BYTES: usize = 512;

/// Batches of one commit whose spans reach to it, over all sources; those of more end when they are folded. There is no metric of it: it costs
/// no click and drops no span, only the commit does not show in so many traces.
const TRACED_MAX: usize = 256;

/// Folds what a stream delivers into a store.
pub struct Consumer {
    store: Arc<dyn Rollups>,
    options: ConsumerOptions,
    cache: RowCache,
    /// Those that are open: partitions of a topic, or one.
    sources: HashMap<Source, Counting>,
    /// How many were opened so far.
    opened: u32,
    /// When the first click that is not committed was folded.
    uncommitted_since: Option<Instant>,
    uncommitted_clicks: usize,
    uncommitted_bytes: usize,
}

/// Why counting ended, as no trying again would help: a sentence for the one who operates it. Nothing is lost by it, as what was
/// not committed was not released.
#[derive(Debug, thiserror::Error)]
pub enum ConsumerError {
    /// [`StreamError::Lost`]
    #[error("clicks are not counted any more: {0}")]
    Stream(#[source] StreamError),
    /// [`RollupsError::Unreadable`], and [`RollupsError::Refused`] that lasts.
    #[error("clicks are not counted any more: {0}")]
    Rollups(#[from] RollupsError),
}

/// A source being counted.
struct Counting {
    /// Names it in the cache.
    number: u32,
    progress: Progress,
    /// The rows changed since the last commit.
    rows: Rows,
    changed: bool,
    /// Committed, and the stream not told yet.
    unreleased: bool,
    /// The earliest click since the last commit, in Unix milliseconds.
    oldest_ms: Option<i64>,
    /// Batches that are traced and not committed: they end with the commit, or when the source is another's.
    traced: Vec<Span>,
    /// Logs that were heard of since the source was opened, or some were forgotten.
    heard: HashSet<LogId>,
    hears_since: Instant,
}

impl Counting {
    fn new(number: u32, progress: Progress) -> Self {
        Counting {
            number,
            progress,
            rows: Rows::default(),
            changed: false,
            unreleased: false,
            oldest_ms: None,
            traced: Vec::new(),
            heard: HashSet::new(),
            hears_since: Instant::now(),
        }
    }

    /// Keeps no more logs than `max` for long, `last` always: that of the click counted last, by which a stream knows its source again.
    fn forget_logs(&mut self, source: &Source, max: usize, last: Option<LogId>) {
        let logs = &mut self.progress.logs;
        let before = logs.len();
        let is_known_who_is_heard = self.hears_since.elapsed() >= FORGOTTEN_AFTER;
        if before <= max || (!is_known_who_is_heard && before <= 2 * max) {
            return;
        }
        let surplus = before - (max - max / FORGOTTEN_PART);
        let (heard, silent): (Vec<_>, Vec<_>) = logs.keys().copied().partition(|log| self.heard.contains(log));
        let others = silent.into_iter().chain(heard).filter(|log| Some(*log) != last);
        for log in others.take(surplus) {
            logs.remove(&log);
        }
        self.heard.clear();
        self.hears_since = Instant::now();
        let forgotten = before - logs.len();
        counter!("septet_progress_logs_forgotten_total").increment(forgotten as u64);
        tracing::warn!(source = source.0, forgotten, max, "click logs that were not heard of for long are forgotten");
    }

    /// Writes what changed; what was written.
    async fn commit(&mut self, store: &dyn Rollups, source: &Source) -> Result<Changes, RollupsError> {
        let changes = Changes {
            days: self.rows.days.drain().map(|((subject, day), row)| (subject, day, row)).collect(),
            totals: self.rows.totals.drain().collect(),
        };
        let began = Instant::now();
        until_done("commit", || store.commit(source, &changes, &self.progress)).await?;
        histogram!("septet_rollup_commit_seconds").record(began.elapsed());
        counter!("septet_rollup_rows_written_total").increment((changes.days.len() + changes.totals.len()) as u64);
        if let Some(oldest_ms) = self.oldest_ms.take() {
            histogram!("septet_click_lag_seconds").record((now_ms() - oldest_ms).max(0) as f64 / 1e3);
        }
        gauge!("septet_progress_logs", "source" => source.0.clone()).set(self.progress.logs.len() as f64);
        self.changed = false;
        self.unreleased = true;
        Ok(changes)
    }
}

impl Consumer {
    /// Consumes until `shutdown` is ready, then drains the stream, commits, and ends. A store or a stream that fails is asked
    /// again for ever, at the end too: the deadline is the caller's, and dropping this future at any moment loses nothing, as what was not
    /// committed was not released. Ends before with an error if asking again cannot help; it is the caller's to log.
    pub async fn run(
        mut stream: Box<dyn ClickStream>,
        store: Arc<dyn Rollups>,
        options: ConsumerOptions,
        shutdown: impl Future<Output = ()> + Send,
    ) -> Result<(), ConsumerError> {
        describe();
        gauge!("septet_rollup_cache_bytes_max").set(options.cache_bytes_max as f64);
        tokio::pin!(shutdown);
        let mut consumer = Consumer::new(store, options);
        let mut trouble = Trouble::new(Work::Counting, "stream");
        let mut draining = false;
        loop {
            if !draining && is_ready(&mut shutdown).await {
                draining = true;
                stream.end();
            }
            let idle = match stream.next(consumer.options.batch_clicks_max, consumer.wait(draining)).await {
                Ok(delivery) => {
                    trouble.over();
                    let idle = delivery == Delivery::Nothing;
                    consumer.take(delivery, stream.as_mut()).await?;
                    idle
                }
                Err(error @ StreamError::Lost(_)) => return Err(ConsumerError::Stream(error)),
                Err(error) => {
                    sleep(trouble.met(&error)).await;
                    true
                }
            };
            if consumer.is_due() || draining && idle {
                consumer.commit().await?;
                consumer.release(stream.as_mut()).await;
            }
            if draining && idle && stream.is_drained().await {
                return Ok(());
            }
        }
    }

    fn new(store: Arc<dyn Rollups>, options: ConsumerOptions) -> Consumer {
        Consumer {
            store,
            cache: RowCache::new(options.cache_bytes_max),
            options,
            sources: HashMap::new(),
            opened: 0,
            uncommitted_since: None,
            uncommitted_clicks: 0,
            uncommitted_bytes: 0,
        }
    }

    fn wait(&self, draining: bool) -> Duration {
        let longest = if draining { DRAIN_WAIT } else { POLL_WAIT };
        match self.uncommitted_since {
            Some(since) => longest.min(self.options.commit_interval.saturating_sub(since.elapsed())),
            None => longest,
        }
    }

    fn is_due(&self) -> bool {
        self.uncommitted_clicks >= self.options.commit_clicks_max
            || self.uncommitted_bytes >= self.options.commit_bytes_max
            || self.uncommitted_since.is_some_and(|since| since.elapsed() >= self.options.commit_interval)
    }

    async fn take(&mut self, delivery: Delivery, stream: &mut dyn ClickStream) -> Result<(), ConsumerError> {
        match delivery {
            Delivery::Opened(source) => self.open(source, stream).await,
            Delivery::Clicks(batch) => Ok(self.count(batch).await?),
            Delivery::Closed(source) => {
                // What is not committed is counted by whoever has it now.
                self.sources.remove(&source);
                Ok(())
            }
            Delivery::Nothing => Ok(()),
        }
    }

    /// Learns what has been counted of a source, and begins there.
    async fn open(&mut self, source: Source, stream: &mut dyn ClickStream) -> Result<(), ConsumerError> {
        let progress = until_done("progress", || self.store.progress(&source)).await?;
        let mut trouble = Trouble::new(Work::Counting, "begin");
        while let Err(error) = stream.begin(&source, &progress).await {
            if let StreamError::Lost(_) = error {
                return Err(ConsumerError::Stream(error));
            }
            sleep(trouble.met(&error)).await;
        }
        trouble.over();
        // A number of its own each time: rows in the cache may have been changed by others meanwhile.
        self.opened = self.opened.wrapping_add(1);
        self.sources.insert(source, Counting::new(self.opened, progress));
        Ok(())
    }

    /// Folds a batch into rows in memory.
    async fn count(&mut self, batch: Batch) -> Result<(), RollupsError> {
        if !self.sources.contains_key(&batch.source) {
            return Ok(());
        }
        let span = batch_span::begin(batch.sent_in.as_ref(), Kind::CONSUMER, "count clicks", &batch.clicks);
        let loading = span.child(Kind::INTERNAL, "load rows");
        loading.outcome(self.load(&batch).await)?;
        let reaches_to_commit = span.is_traced() && self.traced() < TRACED_MAX;
        let Some(counting) = self.sources.get_mut(&batch.source) else { return Ok(()) };
        let folding = span.child(Kind::INTERNAL, "fold");
        let (mut counted, mut replayed, mut duplicate, mut values_capped) = (0, 0, 0, 0);
        for sequenced in &batch.clicks {
            match fold(&mut counting.progress, &mut counting.rows, sequenced) {
                Folded::Counted { capped } => {
                    counted += 1;
                    values_capped += capped;
                    let at_ms = sequenced.click.at_ms;
                    counting.oldest_ms = Some(counting.oldest_ms.map_or(at_ms, |oldest| oldest.min(at_ms)));
                }
                Folded::Replayed => replayed += 1,
                Folded::Duplicate => duplicate += 1,
            }
        }
        let logs = batch.clicks.chunk_by(|one, next| one.click.log == next.click.log);
        counting.heard.extend(logs.map(|run| run[0].click.log));
        for log in &batch.gone {
            counting.progress.logs.remove(log);
            counting.heard.remove(log);
        }
        let last = batch.clicks.last().map(|sequenced| sequenced.click.log);
        counting.forget_logs(&batch.source, self.options.logs_max, last);
        counting.progress.watermark = counting.progress.watermark.max(batch.through);
        counting.changed = true;
        drop(folding);
        if reaches_to_commit {
            counting.traced.push(span);
        }
        self.uncommitted_since.get_or_insert_with(Instant::now);
        self.uncommitted_clicks += batch.clicks.len();
        self.uncommitted_bytes += batch.clicks.len() * CLICK_BYTES;

        counter!("septet_clicks_folded_total").increment(counted);
        counter!("septet_clicks_skipped_total", "reason" => "replayed").increment(replayed);
        counter!("septet_clicks_skipped_total", "reason" => "duplicate").increment(duplicate);
        counter!("septet_rollup_values_capped_total").increment(values_capped);
        Ok(())
    }

    /// How many batches are traced and not committed.
    fn traced(&self) -> usize {
        self.sources.values().map(|counting| counting.traced.len()).sum()
    }

    /// Brings the rows that the batch touches into memory: from the cache, or else from the store.
    async fn load(&mut self, batch: &Batch) -> Result<(), RollupsError> {
        let Some(counting) = self.sources.get_mut(&batch.source) else { return Ok(()) };
        let Rows { days, totals } = &mut counting.rows;
        let (mut days_missing, mut totals_missing) = (Vec::new(), Vec::new());
        for (subject, day) in batch.clicks.iter().flat_map(|sequenced| touched(&sequenced.click)) {
            days.entry((subject, day)).or_insert_with(|| {
                let row = self.cache.take_day(counting.number, subject, day).unwrap_or_else(|| {
                    days_missing.push((subject, day));
                    DayRow::default()
                });
                self.uncommitted_bytes += row.bytes();
                row
            });
            totals.entry(subject).or_insert_with(|| {
                self.cache.take_total(counting.number, subject).unwrap_or_else(|| {
                    totals_missing.push(subject);
                    Default::default()
                })
            });
        }
        if !days_missing.is_empty() {
            let rows = until_done("read", || self.store.days(&batch.source, &days_missing)).await?;
            self.uncommitted_bytes += rows.iter().map(DayRow::bytes).sum::<usize>();
            counter!("septet_rollup_rows_read_total").increment(rows.len() as u64);
            days.extend(days_missing.into_iter().zip(rows));
        }
        if !totals_missing.is_empty() {
            let rows = until_done("read", || self.store.source_totals(&batch.source, &totals_missing)).await?;
            totals.extend(totals_missing.into_iter().zip(rows));
        }
        Ok(())
    }

    /// Writes what changed, of all sources at once, however often it takes.
    async fn commit(&mut self) -> Result<(), RollupsError> {
        let traced: Vec<_> = self.sources.values_mut().flat_map(|counting| counting.traced.drain(..)).collect();
        let committing: Vec<_> = traced.iter().map(|batch| batch.child(Kind::INTERNAL, "commit")).collect();
        let store = &*self.store;
        let changed = self.sources.iter_mut().filter(|(_, counting)| counting.changed);
        let commits = changed.map(async |(source, counting)| {
            let changes = counting.commit(store, source).await?;
            Ok::<_, RollupsError>((counting.number, changes))
        });
        let written = try_join_all(commits).await;
        if written.is_err() {
            committing.iter().chain(&traced).for_each(Span::failed);
        }
        drop((committing, traced));
        for (number, written) in written? {
            self.cache.put(number, written);
        }
        self.uncommitted_since = None;
        self.uncommitted_clicks = 0;
        self.uncommitted_bytes = 0;
        gauge!("septet_rollup_cache_bytes").set(self.cache.bytes() as f64);
        Ok(())
    }

    /// Tells the stream what may be forgotten. If it fails it is told again after the next commit.
    async fn release(&mut self, stream: &mut dyn ClickStream) {
        for (source, counting) in self.sources.iter_mut().filter(|(_, counting)| counting.unreleased) {
            match stream.release(source, &counting.progress).await {
                Ok(()) => counting.unreleased = false,
                Err(error) => {
                    counter!("septet_consumer_failures_total", "step" => "release").increment(1);
                    tracing::debug!(%error, source = source.0, "clicks could not be released; trying again");
                }
            }
        }
    }
}

async fn is_ready(future: &mut (impl Future<Output = ()> + Unpin)) -> bool {
    tokio::select! {
        biased;
        () = future => true,
        () = std::future::ready(()) => false,
    }
}

fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}

fn describe() {
    describe_counter!("septet_clicks_folded_total", "Clicks counted.");
    describe_counter!("septet_clicks_skipped_total", "Clicks that came again, by why they were known.");
    describe_counter!("septet_rollup_values_capped_total", "Values of clicks that were counted as (other).");
    describe_counter!("septet_rollup_rows_read_total", "Days read because they were not in memory, new ones included.");
    describe_counter!("septet_rollup_rows_written_total", "Days and totals written.");
    describe_counter!("septet_consumer_failures_total", "Failed attempts, by what was attempted; each is repeated.");
    describe_histogram!("septet_rollup_commit_seconds", "From a commit's first attempt to its success.");
    describe_histogram!("septet_click_lag_seconds", "From the earliest click of a commit to the commit.");
    describe_gauge!("septet_rollup_cache_bytes", "Unchanged rows in memory, about.");
    describe_gauge!("septet_rollup_cache_bytes_max", "The same, at most; beyond it rows are forgotten and read again.");
    describe_gauge!("septet_progress_logs", "Click logs whose offsets are kept, by source.");
    describe_counter!(
        "septet_progress_logs_forgotten_total",
        "Click logs whose offsets were given up, as there were too many."
    );
}

#[cfg(test)]
mod tests;
