//! How long to wait before trying again.

use std::time::Duration;

use rand::RngExt;

/// Pauses that double from a shortest to a longest one, each shortened at random by up to a half, so that instances which failed
/// together do not come back together ("equal jitter", AWS Architecture Blog, 2015).
#[derive(Debug)]
pub(crate) struct Backoff {
    min: Duration,
    max: Duration,
    failures: u32,
}

impl Backoff {
    pub(crate) fn new(min: Duration, max: Duration) -> Self {
        Self { min, max, failures: 0 }
    }

    /// The pause after one more failure.
    pub(crate) fn pause(&mut self) -> Duration {
        let full = self.min.saturating_mul(1 << self.failures.min(20)).min(self.max);
        self.failures = self.failures.saturating_add(1);
        full.mul_f64(rand::rng().random_range(0.5..=1.0))
    }

    /// After a success, the next failure is a first one again.
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_the_longest_and_start_again() {
        let (min, max) = (Duration::from_millis(100), Duration::from_secs(10));
        let mut backoff = Backoff::new(min, max);
        let pauses: Vec<_> = (0..100).map(|_| backoff.pause()).collect();
        assert!(pauses.iter().all(|pause| (min / 2..=max).contains(pause)), "{pauses:?}");
        assert!(pauses[50..].iter().all(|pause| *pause >= max / 2), "{pauses:?}");
        backoff.reset();
        assert!(backoff.pause() <= min);
    }
}
