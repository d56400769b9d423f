//! How often to speak of something that does not answer: at once, again now and then while that lasts, and when it is over.

use std::time::Duration;

use tokio::time::Instant;

/// How long to be silent after having spoken.
pub const REMINDER_INTERVAL: Duration = Duration::from_secs(60);

/// Whether something answers, as far as is known.
#[derive(Debug, Default)]
pub struct Outage(Option<Failing>);

#[derive(Debug)]
struct Failing {
    since: Instant,
    said_at: Instant,
    failures: u32,
}

/// An outage that is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Over {
    pub lasted: Duration,
    pub failures: u32,
}

impl Outage {
    /// Another failure: the number of them so far, if it is time to speak.
    pub fn failed(&mut self, now: Instant) -> Option<u32> {
        let Some(failing) = &mut self.0 else {
            self.0 = Some(Failing { since: now, said_at: now, failures: 1 });
            return Some(1);
        };
        failing.failures = failing.failures.saturating_add(1);
        if now - failing.said_at < REMINDER_INTERVAL {
            return None;
        }
        failing.said_at = now;
        Some(failing.failures)
    }

    /// An answer: what is over with it, if anything is.
    pub fn answered(&mut self, now: Instant) -> Option<Over> {
        self.0.take().map(|failing| Over { lasted: now - failing.since, failures: failing.failures })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seen to fail when every failure was spoken of, and when only the first one was.
    #[tokio::test(start_paused = true)]
    async fn an_outage_of_hours_is_spoken_of_once_a_minute() {
        let start = Instant::now();
        let mut outage = Outage::default();
        let said = (0..720).filter(|n| outage.failed(start + Duration::from_secs(10) * *n).is_some()).count();
        assert_eq!(said, 120);
        let end = start + Duration::from_secs(7200);
        assert_eq!(outage.answered(end), Some(Over { lasted: Duration::from_secs(7200), failures: 720 }));
        assert_eq!(outage.answered(end), None);
        assert_eq!(outage.failed(end), Some(1));
    }
}
