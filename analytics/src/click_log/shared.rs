//! What the writers, the reader and the background threads of a process share.

use std::{
    io,
    path::Path,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
        mpsc::Receiver,
    },
    thread::Thread,
    time::Duration,
};

use parking_lot::Mutex;

use super::{
    Error, Options,
    folder::Folder,
    log::Log,
    metrics::Metrics,
    old::{self, OldLog},
    pool::{NoSegment, Pool},
    segment::Segment,
};
use crate::click::LogId;

/// What the writers, the reader and the background threads share.
pub struct Shared {
    pub pool: Pool,
    pub metrics: Metrics,
    pub flush_interval: Duration,
    pub stopping: AtomicBool,
    /// The thread that prepares segments, to be woken when one is wanted.
    pub preparer: OnceLock<Thread>,
    /// Told, and told again when it is over: no segment can be had.
    starved: AtomicBool,
    logs: Mutex<Logs>,
    /// Logs of earlier processes; the reader has them while there is one.
    old: Mutex<Option<Vec<OldLog>>>,
    options: Options,
}

#[derive(Default)]
struct Logs {
    ever: u64,
    /// Sealed ones too, until their files are gone.
    present: Vec<Arc<Log>>,
}

impl Shared {
    pub fn open(folder: &Path, options: Options) -> Result<Self, Error> {
        options.check()?;
        let metrics = Metrics::register();
        metrics.disk_bytes_max.set(options.disk_max_bytes as f64);
        let folder = Folder::open(folder)?;
        let old = old::find(&folder, &metrics)?;
        let disk_bytes = old.iter().map(OldLog::disk_bytes).sum();
        let pool = Pool::new(folder, &options, disk_bytes);
        pool.show(&metrics);
        Ok(Self {
            pool,
            metrics,
            flush_interval: options.flush_interval,
            stopping: AtomicBool::new(false),
            preparer: OnceLock::new(),
            starved: AtomicBool::new(false),
            logs: Mutex::default(),
            old: Mutex::new(Some(old)),
            options,
        })
    }

    /// A log for a new writer, and where that finds its next segment.
    pub fn new_log(&self) -> Result<(Arc<Log>, Receiver<Arc<Segment>>), Error> {
        let mut logs = self.logs.lock();
        let writers = 1 + logs.present.iter().filter(|log| !log.is_sealed()).count() as u64;
        let needed_bytes = writers * 2 * self.options.segment_bytes;
        if needed_bytes > self.options.disk_max_bytes {
            let disk_max_bytes = self.options.disk_max_bytes;
            return Err(Error::TooManyWriters { writers, needed_bytes, disk_max_bytes });
        }
        let (log, next) = Log::new(LogId(rand::random()), logs.ever);
        logs.ever += 1;
        logs.present.push(Arc::clone(&log));
        Ok((log, next))
    }

    /// The logs of this process from `number` on.
    pub fn logs_from(&self, number: u64) -> Vec<Arc<Log>> {
        self.logs.lock().present.iter().filter(|log| log.number >= number).cloned().collect()
    }

    /// Forgets a log whose files are gone.
    pub fn forget(&self, log: &Log) {
        self.logs.lock().present.retain(|other| other.number != log.number);
    }

    /// The old logs, unless a reader has them.
    pub fn take_old(&self) -> Option<Vec<OldLog>> {
        self.old.lock().take()
    }

    /// Takes back the old logs from a reader that ends.
    pub fn put_back(&self, old: Vec<OldLog>) {
        *self.old.lock() = Some(old);
    }

    pub fn wake_preparer(&self) {
        if let Some(preparer) = self.preparer.get() {
            preparer.unpark();
        }
    }

    /// A segment from the pool; a failure is counted, and told once.
    pub fn acquire(&self, log: LogId, base: u64) -> Option<Segment> {
        let acquired = self.pool.acquire(log, base);
        self.pool.show(&self.metrics);
        match acquired {
            Ok(segment) => {
                if self.starved.swap(false, Ordering::Relaxed) {
                    tracing::info!("the click log has room again");
                }
                Some(segment)
            }
            Err(reason) => {
                if matches!(reason, NoSegment::Disk(_)) {
                    self.metrics.prepare_failures.increment(1);
                }
                if !self.starved.swap(true, Ordering::Relaxed) {
                    tracing::warn!(%reason, "the click log cannot grow: clicks will be dropped when its last segments are full");
                }
                None
            }
        }
    }

    /// Prepares the segment that a log wants ahead.
    pub fn prepare_ahead(&self, log: &Log) {
        let mut growth = log.grow();
        if log.wants_segment()
            && let Some(segment) = self.acquire(log.id, growth.next_base())
        {
            growth.add_ahead(segment);
        }
    }

    /// Flushes all logs of this process. Goes on after a failure, and answers the first.
    pub fn flush(&self) -> io::Result<()> {
        let mut result = Ok(());
        for log in self.logs_from(0) {
            let flushed = self.flush_log(&log);
            result = result.and(flushed);
        }
        result
    }

    fn flush_log(&self, log: &Log) -> io::Result<()> {
        let (from, to) = (log.flushed.load(Ordering::Relaxed), log.tail());
        if from == to {
            return Ok(());
        }
        for segment in log.segments_between(from, to) {
            let start = from.saturating_sub(segment.base) as usize;
            let end = (to.min(segment.end()) - segment.base) as usize;
            self.metrics.flushes.increment(1);
            segment.flush(start..end).inspect_err(|_| self.metrics.flush_failures.increment(1))?;
        }
        log.flushed.fetch_max(to, Ordering::Relaxed);
        Ok(())
    }

    /// Takes back a segment of this process.
    pub fn recycle(&self, segment: &Segment) -> io::Result<()> {
        let result = self.pool.recycle(segment);
        self.freed();
        result
    }

    /// Deletes a segment of an old log.
    pub fn delete(&self, path: &Path, bytes: u64) -> io::Result<()> {
        let result = self.pool.delete(path, bytes);
        self.freed();
        result
    }

    fn freed(&self) {
        self.pool.show(&self.metrics);
        self.wake_preparer();
    }
}
