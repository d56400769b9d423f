//! Trying again, for ever, where that can help: with growing pauses, and one line in the log when trouble begins and one when it is over.

use std::{fmt::Display, time::Duration};

use metrics::counter;
use tokio::time::Instant;

/// The first pause; each one doubles, up to the longest.
const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// What clicks wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    Counting,
    #[cfg(feature = "kafka")]
    Forwarding,
}

impl Work {
    fn failed(self, step: &'static str) {
        match self {
            Work::Counting => counter!("septet_consumer_failures_total", "step" => step).increment(1),
            #[cfg(feature = "kafka")]
            Work::Forwarding => counter!("septet_forwarder_failures_total", "step" => step).increment(1),
        }
    }

    fn done(self) -> &'static str {
        match self {
            Work::Counting => "counted",
            #[cfg(feature = "kafka")]
            Work::Forwarding => "forwarded",
        }
    }
}

/// A step that may be failing just now.
pub(crate) struct Trouble {
    work: Work,
    step: &'static str,
    since: Option<Instant>,
    pause: Duration,
}

impl Trouble {
    pub(crate) fn new(work: Work, step: &'static str) -> Trouble {
        Trouble { work, step, since: None, pause: PAUSE_MIN }
    }

    /// An attempt failed. Returns how long to pause before the next.
    pub(crate) fn met(&mut self, error: &impl Display) -> Duration {
        self.work.failed(self.step);
        if self.since.is_none() {
            tracing::warn!(step = self.step, %error, "clicks cannot be {} at the moment; trying on", self.work.done());
            self.since = Some(Instant::now());
        }
        let pause = self.pause;
        self.pause = (pause * 2).min(PAUSE_MAX);
        pause
    }

    /// An attempt succeeded.
    pub(crate) fn over(&mut self) {
        if let Some(since) = self.since.take() {
            let after_ms = since.elapsed().as_millis() as u64;
            tracing::info!(step = self.step, after_ms, "clicks are {} again", self.work.done());
            self.pause = PAUSE_MIN;
        }
    }
}
