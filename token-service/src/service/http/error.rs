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
    LeaseError,
    wire::{ErrorAnswer, ErrorBody, ErrorCode},
};

/// When to try again, in seconds: after what passes by itself, after what the caller must first change by using blocks and
/// reporting them, and after what only an operator can change.
const RETRY_SOON_S: u32 = 1;
const RETRY_AFTER_USE_S: u32 = 10;
const RETRY_LATER_S: u32 = 60;

/// An answer that is not the one that was hoped for.
#[derive(Debug, thiserror::Error)]
#[error("{}", body.message)]
pub struct ApiError {
    status: StatusCode,
    body: Box<ErrorBody>,
    /// What tells the caller how to go on.
    header: Option<(HeaderName, String)>,
}

impl ApiError {
    fn new(status: StatusCode, code: ErrorCode, message: impl Into<String>) -> Self {
        ApiError { status, body: Box::new(ErrorBody::new(code, message)), header: None }
    }

    fn with(mut self, name: HeaderName, value: impl ToString) -> Self {
        self.header = Some((name, value.to_string()));
        self
    }

    /// What is wrong, for programs.
    pub fn code(&self) -> ErrorCode {
        self.body.code
    }

    /// The call is not well-formed.
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

    pub fn not_found() -> Self {
        ApiError::new(StatusCode::NOT_FOUND, ErrorCode::NotFound, "there is nothing at this address")
    }

    pub fn method_not_allowed(method: &Method, allowed: &str) -> Self {
        let message = format!("this address does not answer {method}; it answers {allowed}");
        ApiError::new(StatusCode::METHOD_NOT_ALLOWED, ErrorCode::MethodNotAllowed, message).with(header::ALLOW, allowed)
    }
}

impl From<LeaseError> for ApiError {
    fn from(error: LeaseError) -> Self {
        if let LeaseError::Unavailable(cause) = &error {
            failure_log::unavailable(&**cause);
        }
        let body = Box::new(ErrorBody::of(&error));
        let (status, header) = match error {
            LeaseError::Invalid(_) => (StatusCode::BAD_REQUEST, None),
            LeaseError::Unauthorized => {
                (StatusCode::UNAUTHORIZED, Some((header::WWW_AUTHENTICATE, "Bearer".to_owned())))
            }
            LeaseError::NotHeld(_) | LeaseError::WrongIdSpace { .. } => (StatusCode::CONFLICT, None),
            LeaseError::TooManyUnused { .. } => (StatusCode::TOO_MANY_REQUESTS, retry_after(RETRY_AFTER_USE_S)),
            LeaseError::Exhausted => (StatusCode::SERVICE_UNAVAILABLE, retry_after(RETRY_LATER_S)),
            LeaseError::Overloaded | LeaseError::Unavailable(_) => {
                (StatusCode::SERVICE_UNAVAILABLE, retry_after(RETRY_SOON_S))
            }
        };
        ApiError { status, body, header }
    }
}

fn retry_after(seconds: u32) -> Option<(HeaderName, String)> {
    Some((header::RETRY_AFTER, seconds.to_string()))
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
        response.json(ErrorAnswer { error: (*self.body).clone() })
    }
}
