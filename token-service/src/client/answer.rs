//! Answers of the token service: read up to a limit, and turned into what the contract says.

use std::time::Duration;

use reqwest::{Response, StatusCode, header::RETRY_AFTER};
use serde::de::DeserializeOwned;

use super::{
    Call, ServiceUrl,
    fault::{Failure, Fault, Refusal},
    metrics::Outcome,
};
use crate::{
    Fingerprint, LeaseError,
    wire::{ErrorAnswer, ErrorBody, ErrorCode},
};

/// The largest answer that is read, in bytes: a page of the record has some 400 for each of its 1,000 rows.
pub const ANSWER_BYTES_MAX: usize = 1 << 20;

/// An answer as it came.
pub(super) struct Answer {
    status: StatusCode,
    retry_after: Option<Duration>,
    body: Vec<u8>,
}

/// Reads an answer to its end, or to the limit.
pub(super) async fn read(mut response: Response) -> Result<Answer, Fault> {
    let retry_after = retry_after(&response);
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(Fault::of_transport)? {
        if body.len() + chunk.len() > ANSWER_BYTES_MAX {
            return Err(Fault::TooLarge(ANSWER_BYTES_MAX));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Answer { status: response.status(), retry_after, body })
}

/// Whole seconds. A date (RFC 9110, 10.2.3) is left aside: no clock is trusted.
fn retry_after(response: &Response) -> Option<Duration> {
    let seconds = response.headers().get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}

impl Answer {
    /// What was asked for, if `accept` agrees with it.
    pub(super) fn open<T: DeserializeOwned, U>(
        self,
        url: &ServiceUrl,
        call: &Call,
        ours: Option<Fingerprint>,
        accept: impl Fn(T) -> Result<U, Refusal>,
    ) -> Result<U, Failure> {
        let retry_after = self.retry_after;
        let opened =
            if self.status.is_success() { self.body().and_then(accept) } else { Err(self.refusal(call, ours)) };
        opened.map_err(|refusal| match refusal {
            Refusal::Error(LeaseError::Overloaded) => {
                Failure::Passing { error: LeaseError::Overloaded, outcome: Outcome::Busy, retry_after }
            }
            Refusal::Error(error) => Failure::Final(error),
            Refusal::Fault(fault) => {
                let outcome = fault.outcome();
                Failure::Passing { error: fault.at(url), outcome, retry_after }
            }
        })
    }

    fn body<T: DeserializeOwned>(&self) -> Result<T, Refusal> {
        // An answer without a body says as much as `null`.
        let body = if self.body.is_empty() { b"null" } else { &self.body[..] };
        serde_json::from_slice(body).map_err(|error| Refusal::nonsense(error.to_string()))
    }

    /// What an answer that is not 2xx means.
    fn refusal(&self, call: &Call, ours: Option<Fingerprint>) -> Refusal {
        match serde_json::from_slice::<ErrorAnswer>(&self.body) {
            Ok(ErrorAnswer { error }) => self.explained(error, call, ours),
            // Something in front of the service, which knows nothing of its errors.
            Err(_) => match self.status {
                StatusCode::UNAUTHORIZED => Refusal::Error(LeaseError::Unauthorized),
                StatusCode::TOO_MANY_REQUESTS => Refusal::Error(LeaseError::Overloaded),
                status => Refusal::Fault(Fault::Status(status.as_u16(), None)),
            },
        }
    }

    fn explained(&self, error: ErrorBody, call: &Call, ours: Option<Fingerprint>) -> Refusal {
        let known = match error.code {
            // The body was late: it may be in time when it is sent again.
            ErrorCode::BadRequest if self.status == StatusCode::REQUEST_TIMEOUT => None,
            ErrorCode::BadRequest | ErrorCode::TooLarge => Some(LeaseError::Invalid(error.message.clone())),
            // This is not where the service is; another URL may be.
            ErrorCode::NotFound | ErrorCode::MethodNotAllowed => None,
            ErrorCode::Unauthorized => Some(LeaseError::Unauthorized),
            ErrorCode::NotHeld => call.lease.map(LeaseError::NotHeld),
            ErrorCode::WrongIdSpace => {
                ours.zip(error.fingerprint).map(|(ours, theirs)| LeaseError::WrongIdSpace { ours, theirs })
            }
            ErrorCode::TooManyUnused => match (call.owner, error.unused, error.unused_max) {
                (Some(owner), Some(unused), Some(max)) => Some(LeaseError::TooManyUnused { owner, unused, max }),
                _ => None,
            },
            ErrorCode::Exhausted => Some(LeaseError::Exhausted),
            ErrorCode::Overloaded => Some(LeaseError::Overloaded),
            ErrorCode::Unavailable => None,
        };
        known.map_or_else(|| Refusal::Fault(Fault::Status(self.status.as_u16(), Some(error.message))), Refusal::Error)
    }
}
