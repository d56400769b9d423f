//! Errors of the API: one shape, and one place where a cause becomes a status and a code.

use std::time::Duration;

use actix_web::{
    HttpResponse, ResponseError,
    http::{
        Method, StatusCode,
        header::{self, HeaderName},
    },
};

use super::failure_log;
use crate::{
    service::admission::Refused,
    wire::{ErrorAnswer, ErrorBody, ErrorCode},
};

/// When to try again, in seconds.
const RETRY_AFTER_S: &str = "1";

/// An answer that is not the one that was hoped for.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct ApiError {
    status: StatusCode,
    code: ErrorCode,
    message: String,
    /// What tells the caller how to go on.
    header: Option<(HeaderName, String)>,
}

impl ApiError {
    fn new(status: StatusCode, code: ErrorCode, message: impl Into<String>) -> Self {
        ApiError { status, code, message: message.into(), header: None }
    }

    fn with(mut self, name: HeaderName, value: impl Into<String>) -> Self {
        self.header = Some((name, value.into()));
        self
    }

    /// What is wrong, for programs.
    pub fn code(&self) -> ErrorCode {
        self.code
    }

    /// The call is not well-formed, or the question makes no sense.
    pub fn bad_request(message: impl Into<String>) -> Self {
        ApiError::new(StatusCode::BAD_REQUEST, ErrorCode::BadRequest, message)
    }

    pub fn unsupported_media_type() -> Self {
        let message = "the body must be JSON, sent with Content-Type: application/json";
        ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, ErrorCode::BadRequest, message)
    }

    pub fn body_too_large(bytes_max: usize) -> Self {
        let message = format!("the body is larger than {bytes_max} bytes");
        ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, ErrorCode::TooLarge, message)
    }

    pub fn body_too_slow(limit: Duration) -> Self {
        let message = format!("the body did not arrive within {} seconds", limit.as_secs());
        ApiError::new(StatusCode::REQUEST_TIMEOUT, ErrorCode::BadRequest, message)
    }

    pub fn unauthorized() -> Self {
        let message = "the secret is missing or wrong: send it as Authorization: Bearer SECRET";
        ApiError::new(StatusCode::UNAUTHORIZED, ErrorCode::Unauthorized, message)
            .with(header::WWW_AUTHENTICATE, "Bearer")
    }

    pub fn not_found() -> Self {
        ApiError::new(StatusCode::NOT_FOUND, ErrorCode::NotFound, "there is nothing at this address")
    }

    pub fn method_not_allowed(method: &Method, allowed: &str) -> Self {
        let message = format!("this address does not answer {method}; it answers {allowed}");
        ApiError::new(StatusCode::METHOD_NOT_ALLOWED, ErrorCode::MethodNotAllowed, message).with(header::ALLOW, allowed)
    }

    fn try_again(code: ErrorCode, message: impl Into<String>) -> Self {
        ApiError::new(StatusCode::SERVICE_UNAVAILABLE, code, message).with(header::RETRY_AFTER, RETRY_AFTER_S)
    }
}

impl From<Refused> for ApiError {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Invalid(what) => ApiError::bad_request(what),
            Refused::Overloaded => ApiError::try_again(ErrorCode::Overloaded, refused.to_string()),
            Refused::Unavailable(cause) => {
                failure_log::unavailable(&*cause);
                // Of the store, the log may tell; whoever calls may not.
                ApiError::try_again(ErrorCode::Unavailable, "the rollups cannot be read at the moment, or not in time")
            }
        }
    }
}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        self.status
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status);
        if let Some((name, value)) = &self.header {
            response.insert_header((name, value.as_str()));
        }
        response.json(ErrorAnswer { error: ErrorBody { code: self.code, message: self.message.clone() } })
    }
}
