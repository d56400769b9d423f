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
    stream::{Batch, ClickStream, Progress, Sequenced, Source, StreamError},
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
    /// A stream that goes on where `progress` ends. `enrich` makes a click of what the redirect saw, given its log and
    /// the offset at which it ends; it runs on a blocking thread. If it panics, the click is delivered with empty fields
    /// (`septet_enrich_panics_total`).
    pub fn open(
        mut reader: ClickReader,
        enrich: impl FnMut(&RawClick<'_>, LogId, u64) -> Click + Send + 'static,
        progress: &Progress,
    ) -> Self {
        let gone = progress.logs.keys().copied().filter(|log| !reader.holds(*log)).collect();
        for (log, offset) in &progress.logs {
            reader.trim(*log, *offset);
        }
        let (sequence, guard) = (progress.watermark, Guard::new(enrich));
        Self { work: Work::Idle(Box::new(State { reader, guard, sequence, ready: Vec::new(), gone })) }
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
        let clicks = self.ready.drain(..max.min(self.ready.len())).collect();
        Batch { source: Source(SOURCE.to_owned()), clicks, gone: std::mem::take(&mut self.gone) }
    }
}

#[async_trait]
impl ClickStream for LocalStream {
    async fn next(&mut self, max: usize, wait: Duration) -> Result<Batch, StreamError> {
        let deadline = Instant::now() + wait;
        loop {
            let mut state = self.state().await?;
            if state.ready.is_empty() {
                state = self.run(move |state| state.read(max)).await?;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if !state.ready.is_empty() || !state.gone.is_empty() || left.is_zero() {
                return Ok(state.deliver(max));
            }
            sleep(POLL_INTERVAL.min(left)).await;
        }
    }

    async fn release(&mut self, source: &Source, progress: &Progress) -> Result<(), StreamError> {
        if source.0 != SOURCE {
            return Err(Failure::UnknownSource(source.0.clone()).into());
        }
        let progress = progress.clone();
        self.run(move |state| state.release(&progress)).await?;
        Ok(())
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
