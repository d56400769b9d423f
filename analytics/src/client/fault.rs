//! What can be wrong with an attempt: a sentence that names the URL, and whether to try again.

use std::{error::Error as StdError, fmt, time::Duration};

use super::{ServiceUrl, metrics::Outcome};
use crate::query::QueryError;

/// Characters of a sentence from outside that are repeated in our own.
const QUOTED_CHARS_MAX: usize = 300;

/// Why one analytics service gave no useful answer. Names its URL, and nothing that is secret.
#[derive(Debug, thiserror::Error)]
#[error("{url} {fault}")]
pub struct CallError {
    url: ServiceUrl,
    fault: Fault,
}

/// What was wrong.
#[derive(Debug)]
pub enum Fault {
    /// The question makes no sense, says the service.
    Invalid(String),
    /// The secret is not the service's.
    Unauthorized,
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
            Fault::Invalid(what) => f.write_str(what),
            Fault::Unauthorized => write!(f, "does not accept the secret: set --analytics-secret to the service's"),
            Fault::TimedOut(limit) => write!(f, "did not answer within {} ms", limit.as_millis()),
            Fault::Broken(what) => write!(f, "cannot be reached: {what}"),
            Fault::Status(status, None) => write!(f, "answered {status} and no reason; is it an analytics service?"),
            Fault::Status(status, Some(message)) => write!(f, "answered {status}: {}", quoted(message)),
            Fault::TooLarge(bytes_max) => {
                write!(f, "answered more than {bytes_max} bytes; is it an analytics service?")
            }
            Fault::Nonsense(what) => write!(f, "answered what is no answer of an analytics service: {}", quoted(what)),
        }
    }
}

fn quoted(text: &str) -> String {
    text.chars().take(QUOTED_CHARS_MAX).collect()
}

impl Fault {
    pub(super) fn outcome(&self) -> Outcome {
        match self {
            Fault::Invalid(_) | Fault::Unauthorized => Outcome::Refused,
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

    /// What the contract calls it.
    pub(super) fn at(self, url: &ServiceUrl) -> QueryError {
        match self {
            Fault::Invalid(what) => QueryError::Invalid(quoted(&what)),
            fault => QueryError::Unavailable(Box::new(CallError { url: url.clone(), fault })),
        }
    }
}

/// Why an attempt failed.
#[derive(Debug)]
pub(super) enum Failure {
    /// The same question would be answered the same.
    Final(Fault),
    /// It may pass; the service asks to be left alone for so long.
    Passing(Fault, Duration),
}
