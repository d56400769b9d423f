//! Spans that no collector gets, and those that wait.

use std::{
    fmt::Display,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use metrics::{Gauge, counter, describe_counter, describe_gauge, gauge};
use parking_lot::Mutex;
use tokio::time::Instant;

const DROPPED: &str = "septet_spans_dropped_total";
const WAITING: &str = "septet_spans_waiting";
const WAITING_MAX: &str = "septet_spans_waiting_max";

/// How often losses are logged at most.
const LOGGED_EVERY: Duration = Duration::from_secs(60);

/// Why a span was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reason {
    /// Too many were waiting.
    Full,
    /// The collector did not take it.
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

fn describe(max: usize) {
    describe_counter!(
        DROPPED,
        "Spans that no collector gets, by reason: full (too many were waiting), refused (not taken)"
    );
    describe_gauge!(WAITING, "Spans that wait for the collector or are being sent");
    describe_gauge!(WAITING_MAX, "Spans that may wait; more are dropped");
    for reason in Reason::ALL {
        counter!(DROPPED, "reason" => reason.name()).increment(0);
    }
    gauge!(WAITING).set(0.0);
    gauge!(WAITING_MAX).set(max as f64);
}

/// Counts spans that wait, and those that are lost.
pub(super) struct Losses {
    max: usize,
    waiting: AtomicUsize,
    /// The same, as a metric.
    shown: Gauge,
    unlogged: Mutex<Unlogged>,
}

#[derive(Default)]
struct Unlogged {
    spans: usize,
    logged_at: Option<Instant>,
    #[cfg(test)]
    why: Option<String>,
}

impl Losses {
    /// So many may wait. Metrics must be recorded already.
    pub fn new(max: usize) -> Self {
        describe(max);
        Losses { max, waiting: AtomicUsize::new(0), shown: gauge!(WAITING), unlogged: Mutex::default() }
    }

    /// One more waits, unless as many as may do so already.
    pub fn admit(&self) -> bool {
        let one_more = |waiting| (waiting < self.max).then_some(waiting + 1);
        let is_admitted = self.waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).is_ok();
        if is_admitted {
            self.shown.increment(1.0);
        }
        is_admitted
    }

    /// So many wait no more.
    pub fn done(&self, spans: usize) {
        self.waiting.fetch_sub(spans, Ordering::Relaxed);
        self.shown.decrement(spans as f64);
    }

    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Counts what is lost, and logs it now and then.
    pub fn lost(&self, spans: usize, reason: Reason, why: &dyn Display) {
        counter!(DROPPED, "reason" => reason.name()).increment(spans as u64);
        if let Some(spans) = self.to_be_logged(spans) {
            tracing::warn!(spans, reason = reason.name(), %why, "spans are dropped");
            #[cfg(test)]
            self.unlogged.lock().why.replace(why.to_string());
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
impl Losses {
    /// Why spans were lost, as it was logged last.
    pub fn last_logged(&self) -> Option<String> {
        self.unlogged.lock().why.clone()
    }
}

impl std::fmt::Debug for Losses {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Losses").field("max", &self.max).field("waiting", &self.waiting()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seen to fail when each loss was logged.
    #[tokio::test(start_paused = true)]
    async fn losses_are_logged_once_a_minute() {
        let losses = Losses::new(1);
        assert_eq!([1, 2, 3].map(|spans| losses.to_be_logged(spans)), [Some(1), None, None]);
        tokio::time::advance(LOGGED_EVERY).await;
        assert_eq!(losses.to_be_logged(4), Some(9));
    }
}
