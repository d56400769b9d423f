//! Spans that no collector gets, and those that wait.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use metrics::{counter, describe_counter, describe_gauge, gauge};
use parking_lot::Mutex;
use tokio::time::Instant;

use super::SPANS_WAITING_MAX;

const DROPPED: &str = "septet_traces_dropped_total";
const WAITING: &str = "septet_traces_waiting";
const WAITING_MAX: &str = "septet_traces_waiting_max";

/// How often losses are logged at most.
const LOGGED_EVERY: Duration = Duration::from_secs(60);

/// Why a span was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reason {
    /// Too many were waiting.
    Full,
    /// The collector did not take the batch.
    Refused,
}

impl Reason {
    const ALL: [Reason; 2] = [Reason::Full, Reason::Refused];

    fn name(self) -> &'static str {
        match self {
            Reason::Full => "full",
            Reason::Refused => "refused",
        }
    }
}

pub(super) fn describe() {
    describe_counter!(
        DROPPED,
        "Spans that no collector gets, by reason: full (too many were waiting), refused (not taken)"
    );
    describe_gauge!(WAITING, "Spans that wait for the collector or are being sent");
    describe_gauge!(WAITING_MAX, "Spans that may wait; more are dropped");
    for reason in Reason::ALL {
        counter!(DROPPED, "reason" => reason.name()).increment(0);
    }
    gauge!(WAITING_MAX).set(SPANS_WAITING_MAX as f64);
}

/// Counts spans that wait, and those that are lost.
#[derive(Debug, Default)]
pub(super) struct Losses {
    waiting: AtomicUsize,
    unlogged: Mutex<Unlogged>,
}

#[derive(Debug, Default)]
struct Unlogged {
    spans: usize,
    logged_at: Option<Instant>,
}

impl Losses {
    /// One more waits, unless as many as may do so already.
    pub fn admit(&self, max: usize) -> bool {
        let one_more = |waiting| (waiting < max).then_some(waiting + 1);
        self.waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).is_ok()
    }

    /// So many wait no more.
    pub fn done(&self, spans: usize) {
        let before = self.waiting.fetch_sub(spans, Ordering::Relaxed);
        gauge!(WAITING).set(before.saturating_sub(spans) as f64);
    }

    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Counts what is lost, and logs it now and then.
    pub fn lost(&self, spans: usize, reason: Reason, why: &dyn std::fmt::Display) {
        counter!(DROPPED, "reason" => reason.name()).increment(spans as u64);
        if let Some(spans) = self.to_be_logged(spans) {
            tracing::warn!(spans, reason = reason.name(), %why, "spans are dropped");
        }
    }

    /// How many to tell of, if it is time to do so.
    fn to_be_logged(&self, spans: usize) -> Option<usize> {
        let mut unlogged = self.unlogged.lock();
        unlogged.spans += spans;
        if unlogged.logged_at.is_some_and(|at| at.elapsed() < LOGGED_EVERY) {
            return None;
        }
        unlogged.logged_at = Some(Instant::now());
        Some(std::mem::take(&mut unlogged.spans))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seen to fail when each loss was logged.
    #[tokio::test(start_paused = true)]
    async fn losses_are_logged_once_a_minute() {
        let losses = Losses::default();
        assert_eq!([1, 2, 3].map(|spans| losses.to_be_logged(spans)), [Some(1), None, None]);
        tokio::time::advance(LOGGED_EVERY).await;
        assert_eq!(losses.to_be_logged(4), Some(9));
    }
}
