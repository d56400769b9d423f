//! The embedded implementation of [`ClickStream`]: the click logs of this process, read in place.
//!
//! There is one source, `local`: the logs merged in the order in which they are read. Reading, enriching and trimming
//! run on the runtime's blocking threads, one job at a time; the job owns the reader while it runs. A call that is
//! cancelled loses nothing: what its job reads stays here for the next call.

use std::time::Duration;

use async_trait::async_trait;
use tokio::{
    task::{JoinHandle, spawn_blocking},
    time::{Instant, sleep},
};

use crate::{
    click::{Click, LogId},
    click_log::{ClickReader, RawClick},
    stream::{Batch, ClickStream, Delivery, Progress, Sequenced, Source, StreamError},
};

mod guard;

use guard::Guard;

/// How often the logs are looked at when there is nothing to read.
pub const POLL_INTERVAL: Duration = Duration::from_millis(50);
/// The name of the one source.
pub const SOURCE: &str = "local";

/// Delivers the clicks of the logs of this process and of earlier ones.
pub struct LocalStream {
    work: Work,
    opening: Opening,
}

/// How far the one source has been opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Opening {
    Untold,
    Told,
    Begun,
}

enum Work {
    Idle(Box<State>),
    Busy(JoinHandle<Box<State>>),
    /// A job panicked and took the reader along.
    Lost,
}

struct State {
    reader: ClickReader,
    guard: Guard,
    /// The last one that was given.
    sequence: u64,
    /// Read, and not delivered yet.
    ready: Vec<Sequenced>,
    gone: Vec<LogId>,
}

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("the reader of the click log panicked")]
    Lost,
    #[error("there is no source {0:?} here, only {SOURCE:?}")]
    UnknownSource(String),
}

impl From<Failure> for StreamError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Lost => Self::Lost(Box::new(failure)),
            Failure::UnknownSource(_) => Self::Failed(Box::new(failure)),
        }
    }
}

impl LocalStream {
    /// A stream of what the logs hold. `enrich` makes a click of what the redirect saw, given its log and
    /// the offset at which it ends; it runs on a blocking thread. If it panics, the click is delivered with empty fields
    /// (`septet_enrich_panics_total`).
    pub fn open(reader: ClickReader, enrich: impl FnMut(&RawClick<'_>, LogId, u64) -> Click + Send + 'static) -> Self {
        let state = State { reader, guard: Guard::new(enrich), sequence: 0, ready: Vec::new(), gone: Vec::new() };
        Self { work: Work::Idle(Box::new(state)), opening: Opening::Untold }
    }

    /// Whether logs of earlier processes hold clicks that were not delivered yet.
    pub async fn has_undelivered_old(&mut self) -> bool {
        match self.state().await {
            Ok(state) => !state.ready.is_empty() || state.reader.has_unread_old(),
            Err(_) => true,
        }
    }

    /// The state, once the job that a cancelled call left behind has ended.
    async fn state(&mut self) -> Result<&mut State, Failure> {
        if let Work::Busy(job) = &mut self.work {
            self.work = job.await.map_or(Work::Lost, Work::Idle);
        }
        match &mut self.work {
            Work::Idle(state) => Ok(state),
            Work::Busy(_) | Work::Lost => Err(Failure::Lost),
        }
    }

    /// Runs a job on a blocking thread, to its end even if the caller is cancelled.
    async fn run(&mut self, job: impl FnOnce(&mut State) + Send + 'static) -> Result<&mut State, Failure> {
        self.state().await?;
        self.work = match std::mem::replace(&mut self.work, Work::Lost) {
            Work::Idle(mut state) => Work::Busy(spawn_blocking(move || {
                job(&mut state);
                state
            })),
            other => other,
        };
        self.state().await
    }
}

impl State {
    fn begin(&mut self, progress: &Progress) {
        let unknown = progress.logs.keys().copied().filter(|log| !self.reader.holds(*log));
        self.gone.extend(unknown);
        self.sequence = progress.watermark;
        self.release(progress);
    }

    fn read(&mut self, max: usize) {
        let Self { reader, guard, sequence, ready, gone } = self;
        reader.read(max, |log, offset, raw| {
            *sequence += 1;
            ready.push(Sequenced { sequence: *sequence, click: guard.click(raw, log, offset) });
        });
        gone.append(&mut reader.take_gone());
    }

    fn release(&mut self, progress: &Progress) {
        for (log, offset) in &progress.logs {
            self.reader.trim(*log, *offset);
        }
        self.gone.append(&mut self.reader.take_gone());
    }

    fn deliver(&mut self, max: usize) -> Batch {
        let clicks: Vec<_> = self.ready.drain(..max.min(self.ready.len())).collect();
        let through = clicks.last().map_or(self.sequence, |last| last.sequence);
        Batch { source: source(), clicks, through, gone: std::mem::take(&mut self.gone), sent_in: None }
    }
}

fn source() -> Source {
    Source(SOURCE.to_owned())
}

fn is_ours(source: &Source) -> Result<(), Failure> {
    if source.0 == SOURCE { Ok(()) } else { Err(Failure::UnknownSource(source.0.clone())) }
}

#[async_trait]
impl ClickStream for LocalStream {
    async fn next(&mut self, max: usize, wait: Duration) -> Result<Delivery, StreamError> {
        let deadline = Instant::now() + wait;
        if self.opening == Opening::Untold {
            self.opening = Opening::Told;
            return Ok(Delivery::Opened(source()));
        }
        loop {
            let is_begun = self.opening == Opening::Begun;
            let mut state = self.state().await?;
            if is_begun && state.ready.is_empty() {
                state = self.run(move |state| state.read(max)).await?;
            }
            if !state.ready.is_empty() || !state.gone.is_empty() {
                return Ok(Delivery::Clicks(state.deliver(max)));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(Delivery::Nothing);
            }
            sleep(POLL_INTERVAL.min(left)).await;
        }
    }

    async fn begin(&mut self, source: &Source, progress: &Progress) -> Result<(), StreamError> {
        is_ours(source)?;
        let progress = progress.clone();
        self.run(move |state| state.begin(&progress)).await?;
        self.opening = Opening::Begun;
        Ok(())
    }

    async fn release(&mut self, source: &Source, progress: &Progress) -> Result<(), StreamError> {
        is_ours(source)?;
        let progress = progress.clone();
        self.run(move |state| state.release(&progress)).await?;
        Ok(())
    }

    fn end(&mut self) {
        // Nobody else reads these logs: what is in them is counted before the end.
    }

    async fn is_drained(&mut self) -> bool {
        match self.state().await {
            Ok(state) => state.ready.is_empty() && state.reader.is_drained(),
            Err(_) => false,
        }
    }
}

#[cfg(test)]
mod tests;
