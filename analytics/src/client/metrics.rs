//! The client's metrics: each is named, described and recorded here. Labels are outcomes, never a URL.

use metrics::{counter, describe_counter, describe_gauge, gauge};

/// Counter: attempts, by `outcome`, see [`Outcome`].
pub const ATTEMPTS: &str = "septet_analytics_client_attempts_total";
/// Counter: attempts that repeated a failed one.
pub const RETRIES: &str = "septet_analytics_client_retries_total";
/// Counter: attempts beside one that was slow.
pub const HEDGES: &str = "septet_analytics_client_hedges_total";
/// Counter: questions given up after a failure that might have passed, by `reason`, see [`GivenUp`].
pub const GIVEN_UP: &str = "septet_analytics_client_questions_given_up_total";
/// Gauge: attempts under way; at [`ATTEMPTS_UNDER_WAY_MAX`], one more waits for its turn, in its question's time.
pub const ATTEMPTS_UNDER_WAY: &str = "septet_analytics_client_attempts_under_way";
/// Gauge: [`CONNECTIONS_MAX`](super::CONNECTIONS_MAX).
pub const ATTEMPTS_UNDER_WAY_MAX: &str = "septet_analytics_client_attempts_under_way_max";
/// Gauge: tokens in the retry budget; at half of [`RETRY_TOKENS_MAX`] or fewer nothing is repeated.
pub const RETRY_TOKENS: &str = "septet_analytics_client_retry_tokens";
/// Gauge: tokens of a full retry budget.
pub const RETRY_TOKENS_MAX: &str = "septet_analytics_client_retry_tokens_max";

pub(super) fn describe() {
    describe_counter!(ATTEMPTS, "Attempts to ask the analytics service, by outcome");
    describe_counter!(RETRIES, "Attempts to ask the analytics service that repeated a failed one");
    describe_counter!(HEDGES, "Attempts to ask the analytics service beside one that was slow");
    describe_counter!(GIVEN_UP, "Questions given up after a failure that may pass, by reason: attempts, budget, time");
    describe_gauge!(ATTEMPTS_UNDER_WAY, "Attempts to ask the analytics service that are under way");
    describe_gauge!(ATTEMPTS_UNDER_WAY_MAX, "Attempts that may be under way; one more waits for its turn");
    describe_gauge!(RETRY_TOKENS, "Tokens in the retry budget; at half or fewer, nobody is asked twice");
    describe_gauge!(RETRY_TOKENS_MAX, "Tokens of a full retry budget");
    // An alert on a rate needs the counter to be there before it first counts.
    for outcome in Outcome::ALL {
        counter!(ATTEMPTS, "outcome" => outcome.name()).increment(0);
    }
    for reason in GivenUp::ALL {
        counter!(GIVEN_UP, "reason" => reason.name()).increment(0);
    }
    counter!(RETRIES).increment(0);
    counter!(HEDGES).increment(0);
    gauge!(RETRY_TOKENS_MAX).set(super::budget::TOKENS_MAX);
    gauge!(ATTEMPTS_UNDER_WAY_MAX).set(super::CONNECTIONS_MAX as f64);
}

/// An attempt that is under way until this is dropped.
pub(super) struct UnderWay;

impl UnderWay {
    pub fn begins() -> Self {
        gauge!(ATTEMPTS_UNDER_WAY).increment(1);
        UnderWay
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        gauge!(ATTEMPTS_UNDER_WAY).decrement(1);
    }
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// A good answer.
    Done,
    /// Answered, and refused for good.
    Refused,
    /// Answered: try again later.
    Busy,
    /// No answer in time.
    TimedOut,
    /// No connection, or it broke.
    Broken,
    /// An answer that makes no sense.
    Nonsense,
}

impl Outcome {
    const ALL: [Outcome; 6] =
        [Outcome::Done, Outcome::Refused, Outcome::Busy, Outcome::TimedOut, Outcome::Broken, Outcome::Nonsense];

    fn name(self) -> &'static str {
        match self {
            Outcome::Done => "done",
            Outcome::Refused => "refused",
            Outcome::Busy => "busy",
            Outcome::TimedOut => "timed_out",
            Outcome::Broken => "broken",
            Outcome::Nonsense => "nonsense",
        }
    }
}

/// Why a failed attempt was not repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum GivenUp {
    /// It was the last one that a question may have.
    Attempts,
    /// The retry budget is used up.
    Budget,
    /// There was no answer in time, or the pause before the next one, which the service may have asked for, would outlast the question.
    Time,
}

impl GivenUp {
    const ALL: [GivenUp; 3] = [GivenUp::Attempts, GivenUp::Budget, GivenUp::Time];

    fn name(self) -> &'static str {
        match self {
            GivenUp::Attempts => "attempts",
            GivenUp::Budget => "budget",
            GivenUp::Time => "time",
        }
    }
}

pub(super) fn attempted(outcome: Outcome) {
    counter!(ATTEMPTS, "outcome" => outcome.name()).increment(1);
}

pub(super) fn retried() {
    counter!(RETRIES).increment(1);
}

pub(super) fn hedged() {
    counter!(HEDGES).increment(1);
}

pub(super) fn given_up(reason: GivenUp) {
    counter!(GIVEN_UP, "reason" => reason.name()).increment(1);
}

pub(super) fn retry_tokens(tokens: u32) {
    gauge!(RETRY_TOKENS).set(tokens);
}
