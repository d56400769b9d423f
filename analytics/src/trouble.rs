//! Trying again, for ever, where that can help: with growing pauses.
//!
//! The log says when trouble begins and when it is over, and meanwhile each new cause, and the one that there is once a minute: its last
//! line is about what is wrong now.

use std::{fmt::Display, time::Duration};

use metrics::counter;
use tokio::time::Instant;

/// The first pause; each one doubles, up to the longest.
const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// How often trouble that lasts is logged.
const LOGGED_EVERY: Duration = Duration::from_secs(60);

/// The same, at most: causes may take turns.
const LOGGED_APART: Duration = Duration::from_secs(1);

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
    lasting: Option<Lasting>,
    pause: Duration,
}

/// Trouble that is not over.
struct Lasting {
    since: Instant,
    /// What was logged of it last, and when.
    logged: String,
    logged_at: Instant,
}

impl Trouble {
    pub(crate) fn new(work: Work, step: &'static str) -> Trouble {
        Trouble { work, step, lasting: None, pause: PAUSE_MIN }
    }

    /// An attempt failed. Returns how long to pause before the next.
    pub(crate) fn met(&mut self, error: &impl Display) -> Duration {
        self.work.failed(self.step);
        if let Some(lasted) = self.news(error.to_string()) {
            let lasted_ms = lasted.as_millis() as u64;
            tracing::warn!(step = self.step, lasted_ms, %error, "clicks cannot be {} at the moment; trying on", self.work.done());
        }
        let pause = self.pause;
        self.pause = (pause * 2).min(PAUSE_MAX);
        pause
    }

    /// How long it has lasted, if that and this cause are worth a line.
    fn news(&mut self, error: String) -> Option<Duration> {
        let now = Instant::now();
        let since = match &self.lasting {
            Some(lasting) if lasting.is_told(&error, now) => return None,
            Some(lasting) => lasting.since,
            None => now,
        };
        self.lasting = Some(Lasting { since, logged: error, logged_at: now });
        Some(now - since)
    }

    /// An attempt succeeded.
    pub(crate) fn over(&mut self) {
        if let Some(lasting) = self.lasting.take() {
            let after_ms = lasting.since.elapsed().as_millis() as u64;
            tracing::info!(step = self.step, after_ms, "clicks are {} again", self.work.done());
            self.pause = PAUSE_MIN;
        }
    }
}

impl Lasting {
    /// Whether the log says so already, or may say no more just now.
    fn is_told(&self, error: &str, now: Instant) -> bool {
        let logged_for = now - self.logged_at;
        logged_for < if self.logged == error { LOGGED_EVERY } else { LOGGED_APART }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    const AWAY: &str = "no node answers";
    const GONE: &str = "there are no tables";

    /// Whether a failed attempt is logged.
    fn is_logged(trouble: &mut Trouble, error: &str) -> bool {
        trouble.news(error.to_owned()).is_some()
    }

    /// Seen to fail when the first cause alone was logged, when one that lasts was logged once, and when each failure was logged.
    #[tokio::test(start_paused = true)]
    async fn the_last_line_is_about_what_is_wrong_now() {
        let mut trouble = Trouble::new(Work::Counting, "test");
        assert_eq!(trouble.news(AWAY.to_owned()), Some(Duration::ZERO));
        advance(LOGGED_EVERY / 2).await;
        assert!(!is_logged(&mut trouble, AWAY));
        assert_eq!(trouble.news(GONE.to_owned()), Some(LOGGED_EVERY / 2));
        for _ in 0..3 {
            advance(LOGGED_EVERY - Duration::from_millis(1)).await;
            assert!(!is_logged(&mut trouble, GONE));
            advance(Duration::from_millis(1)).await;
            assert!(is_logged(&mut trouble, GONE));
        }
        trouble.over();
        assert_eq!(trouble.news(GONE.to_owned()), Some(Duration::ZERO), "it is new trouble");
    }

    /// Seen to fail when each other cause was logged at once.
    #[tokio::test(start_paused = true)]
    async fn causes_that_take_turns_are_logged_once_a_second() {
        let mut trouble = Trouble::new(Work::Counting, "test");
        assert!(is_logged(&mut trouble, AWAY));
        for error in [GONE, AWAY, GONE] {
            assert!(!is_logged(&mut trouble, GONE) && !is_logged(&mut trouble, AWAY));
            advance(LOGGED_APART).await;
            assert!(is_logged(&mut trouble, error));
        }
    }
}
