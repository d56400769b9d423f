//! Answers of the analytics service: read up to a limit, and turned into what the contract says.

use std::time::Duration;

use reqwest::{Response, StatusCode, header::RETRY_AFTER};
use serde::de::DeserializeOwned;

use super::fault::{Failure, Fault};
use crate::wire::{ErrorAnswer, ErrorCode};

/// The largest answer that is read, in bytes: twice that of ten thousand of the longest values.
pub const ANSWER_BYTES_MAX: usize = 8 << 20;

/// An answer as it came.
pub(super) struct Answer {
    status: StatusCode,
    /// For how long the service asks to be left alone.
    retry_after: Duration,
    body: Vec<u8>,
}

/// Reads an answer to its end, or to the limit.
pub(super) async fn read(mut response: Response) -> Result<Answer, Fault> {
    let retry_after = retry_after(&response).unwrap_or_default();
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
    pub(super) fn open<T: DeserializeOwned, U>(self, accept: &impl Fn(T) -> Option<U>) -> Result<U, Failure> {
        if !self.status.is_success() {
            return Err(self.refusal());
        }
        let nonsense = |what: String| Failure::Passing(Fault::Nonsense(what), Duration::ZERO);
        let answer = serde_json::from_slice(&self.body).map_err(|error| nonsense(error.to_string()))?;
        accept(answer).ok_or_else(|| nonsense("it is one to another question".to_owned()))
    }

    /// What an answer that is not 2xx means.
    fn refusal(&self) -> Failure {
        // Something in front of the service knows nothing of its errors.
        let error = serde_json::from_slice::<ErrorAnswer>(&self.body).map(|answer| answer.error).ok();
        match (self.status, error) {
            (StatusCode::BAD_REQUEST | StatusCode::PAYLOAD_TOO_LARGE, Some(error))
                if matches!(error.code, ErrorCode::BadRequest | ErrorCode::TooLarge) =>
            {
                Failure::Final(Fault::Invalid(error.message))
            }
            // The secret is the same everywhere.
            (StatusCode::UNAUTHORIZED, _) => Failure::Final(Fault::Unauthorized),
            (status, error) => {
                let fault = Fault::Status(status.as_u16(), error.map(|error| error.message));
                Failure::Passing(fault, self.retry_after)
            }
        }
    }
}
