//! What can be wrong with an attempt: a sentence that names the URL, and whether to try again.

use std::{error::Error as StdError, fmt, time::Duration};

use super::{ServiceUrl, metrics::Outcome};
use crate::LeaseError;

/// Characters of a sentence from outside that are repeated in our own.
const QUOTED_CHARS_MAX: usize = 300;

/// Why one token service gave no useful answer. Names its URL, and nothing that is secret.
#[derive(Debug, thiserror::Error)]
#[error("{url} {fault}")]
pub struct CallError {
    url: ServiceUrl,
    fault: Fault,
}

/// What was wrong.
#[derive(Debug)]
pub enum Fault {
    TimedOut(Duration),
    /// No connection, or it broke.
    Broken(String),
    /// A status, and what the body says of it, if it can be read.
    Status(u16, Option<String>),
    /// An answer larger than this many bytes.
    TooLarge(usize),
    /// An answer that makes no sense.
    Nonsense(String),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::TimedOut(limit) => write!(f, "did not answer within {} ms", limit.as_millis()),
            Fault::Broken(what) => write!(f, "cannot be reached: {what}"),
            Fault::Status(status, None) => write!(f, "answered {status} and no reason; is it a token service?"),
            Fault::Status(status, Some(message)) => write!(f, "answered {status}: {}", quoted(message)),
            Fault::TooLarge(bytes_max) => write!(f, "answered more than {bytes_max} bytes; is it a token service?"),
            Fault::Nonsense(what) => write!(f, "answered what is no answer of a token service: {}", quoted(what)),
        }
    }
}

fn quoted(text: &str) -> String {
    text.chars().take(QUOTED_CHARS_MAX).collect()
}

impl Fault {
    pub(super) fn outcome(&self) -> Outcome {
        match self {
            Fault::TimedOut(_) => Outcome::TimedOut,
            Fault::Broken(_) => Outcome::Broken,
            Fault::Status(_, Some(_)) => Outcome::Busy,
            Fault::Status(_, None) | Fault::TooLarge(_) | Fault::Nonsense(_) => Outcome::Nonsense,
        }
    }

    pub(super) fn of_transport(error: reqwest::Error) -> Self {
        // The sentence names the base URL already.
        let error = error.without_url();
        // Each names its cause, or only itself; the last one says what happened.
        let mut last: &dyn StdError = &error;
        while let Some(cause) = last.source() {
            last = cause;
        }
        Fault::Broken(last.to_string())
    }

    pub(super) fn at(self, url: &ServiceUrl) -> LeaseError {
        LeaseError::Unavailable(Box::new(CallError { url: url.clone(), fault: self }))
    }
}

/// What is wrong with an answer that can be read.
#[derive(Debug)]
pub(super) enum Refusal {
    /// An error of the contract. All are final but [`LeaseError::Overloaded`].
    Error(LeaseError),
    /// Another service, or a later attempt, may do better.
    Fault(Fault),
}

impl Refusal {
    pub(super) fn nonsense(what: impl Into<String>) -> Self {
        Refusal::Fault(Fault::Nonsense(what.into()))
    }
}

/// Why an attempt failed.
#[derive(Debug)]
pub(super) enum Failure {
    /// The service answered; the same call would be answered the same.
    Final(LeaseError),
    /// It may pass.
    Passing {
        error: LeaseError,
        outcome: Outcome,
        /// For how long the service asks to be left alone.
        retry_after: Option<Duration>,
    },
}
