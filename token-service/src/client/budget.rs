//! The retry budget: while most attempts fail, nothing is repeated within a call.
//!
//! The token bucket of gRPC's retry throttling (gRFC A6, "Throttling Retry Attempts and Hedged RPCs"): every failed attempt
//! takes a token, every answered one puts some back, and there are no retries at half of the tokens or fewer. First attempts
//! are never held back: they are what finds out that the service is well again.

use std::sync::atomic::{AtomicU32, Ordering};

use super::metrics;

/// Tokens of a full bucket.
pub const TOKENS_MAX: u32 = 10;
/// Tokens that an answer puts back. The gRFC's example has a tenth, for clients of many calls a second; an instance calls
/// every few minutes, and would be without retries for hours after each outage. With one, retries end when more than half
/// of the attempts fail, so that there are never more than twice as many attempts as calls for long.
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

    /// An attempt failed, in a way that may pass.
    pub(super) fn failed(&self) {
        self.change(|tokens| tokens.saturating_sub(1));
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

    /// Seen to fail when an answer put two tokens back; does not end when failures take nothing.
    #[test]
    fn retries_end_when_most_attempts_fail_and_begin_again() {
        let budget = RetryBudget::full();
        let failures = std::iter::from_fn(|| {
            budget.failed();
            budget.allows_a_retry().then_some(())
        });
        assert_eq!(failures.count(), 4);
        for _ in 0..100 {
            budget.failed();
        }
        for _ in 0..5 {
            budget.answered();
            assert!(!budget.allows_a_retry());
        }
        budget.answered();
        assert!(budget.allows_a_retry());
        for _ in 0..100 {
            budget.answered();
        }
        assert_eq!(budget.0.load(Ordering::Relaxed), TOKENS_MAX);
    }

    /// Seen to fail when an answer put two tokens back.
    #[test]
    fn a_service_that_fails_more_than_half_of_the_time_is_not_hammered() {
        let budget = RetryBudget::full();
        for _ in 0..30 {
            budget.answered();
            budget.failed();
            budget.failed();
        }
        assert!(!budget.allows_a_retry());
    }
}
