//! The retry budget: while many attempts fail, nobody is asked twice for one question.
//!
//! The token bucket of gRPC's retry throttling (gRFC A6, "Throttling Retry Attempts and Hedged RPCs"): every failed attempt
//! takes tokens, every answered one puts some back, and there are no retries at half of the tokens or fewer. First attempts
//! are never held back: they are what finds out that the service is well again.

use std::sync::atomic::{AtomicU32, Ordering};

use super::metrics;

/// Tokens of a full bucket.
pub const TOKENS_MAX: u32 = 20;
/// Tokens that a failure takes.
const TOKENS_PER_FAILURE: u32 = 2;
/// Tokens that an answer puts back. So retries end when more than a third of the attempts fail, as one of three services that is down
/// behind one URL makes them, and in the long run there are no more than three attempts for two questions.
const TOKENS_PER_ANSWER: u32 = 1;
/// With so many tokens or fewer there are no retries.
const TOKENS_WITHOUT_RETRIES: u32 = TOKENS_MAX / 2;

pub(super) struct RetryBudget(AtomicU32);

impl RetryBudget {
    pub(super) fn full() -> Self {
        metrics::retry_tokens(TOKENS_MAX);
        Self(AtomicU32::new(TOKENS_MAX))
    }

    /// An attempt was answered, whatever the answer.
    pub(super) fn answered(&self) {
        self.change(|tokens| (tokens + TOKENS_PER_ANSWER).min(TOKENS_MAX));
    }

    /// An attempt failed, in a way that may pass, or is slow.
    pub(super) fn failed(&self) {
        self.change(|tokens| tokens.saturating_sub(TOKENS_PER_FAILURE));
    }

    pub(super) fn allows_a_retry(&self) -> bool {
        self.0.load(Ordering::Relaxed) > TOKENS_WITHOUT_RETRIES
    }

    fn change(&self, change: impl Fn(u32) -> u32) {
        let before = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |tokens| Some(change(tokens)));
        // It always changes; both arms hold what was there before.
        let (Ok(before) | Err(before)) = before;
        metrics::retry_tokens(change(before));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seen to fail when an answer put two tokens back.
    #[test]
    fn retries_end_when_many_attempts_fail_and_begin_again() {
        let budget = RetryBudget::full();
        let failures = std::iter::from_fn(|| {
            budget.failed();
            budget.allows_a_retry().then_some(())
        });
        assert_eq!(failures.count(), 4);
        (0..100).for_each(|_| budget.failed());
        for _ in 0..10 {
            budget.answered();
            assert!(!budget.allows_a_retry());
        }
        budget.answered();
        assert!(budget.allows_a_retry());
        (0..100).for_each(|_| budget.answered());
        assert_eq!(budget.0.load(Ordering::Relaxed), TOKENS_MAX);
    }

    /// Seen to fail when a failure took one token.
    #[test]
    fn services_that_are_all_slow_are_not_asked_twice_for_long() {
        let budget = RetryBudget::full();
        for _ in 0..30 {
            budget.failed();
            budget.answered();
        }
        assert!(!budget.allows_a_retry());
    }
}
