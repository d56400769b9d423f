//! Errors of the API: one list of codes, one shape, one place where a cause becomes a status.

use std::time::Duration;

use actix_web::{HttpResponse, ResponseError, http::StatusCode, http::header};
use serde_json::json;

use crate::{caching::KEPT_NOWHERE, shortener::LinkError, store::StoreError};

/// Where errors are explained: a page of this server.
pub const DOC_PATH: &str = "/api/errors";

/// How long a client should wait before it tries again, in seconds.
pub const RETRY_AFTER_SECONDS: &str = "1";

/// What is wrong, for programs. The codes are those that clients of this API know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    BadRequest,
    Unauthorized,
    NotFound,
    Conflict,
    UnprocessableEntity,
    InternalServerError,
}

impl Code {
    /// Every code, and what it means to whoever gets it.
    pub const ALL: [(Code, &str); 6] = [
        (Code::BadRequest, "The request cannot be read: its method, body or encoding is wrong."),
        (Code::Unauthorized, "An API key is missing or unknown: send it as \"Authorization: Bearer KEY\"."),
        (Code::NotFound, "There is no such link, or no such address."),
        (Code::Conflict, "The key or externalId is taken, or others are changing the same link."),
        (Code::UnprocessableEntity, "A field or parameter is unknown, unsupported or wrong; the message names it."),
        (Code::InternalServerError, "Something here failed. With status 503: try again after Retry-After seconds."),
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Code::BadRequest => "bad_request",
            Code::Unauthorized => "unauthorized",
            Code::NotFound => "not_found",
            Code::Conflict => "conflict",
            Code::UnprocessableEntity => "unprocessable_entity",
            Code::InternalServerError => "internal_server_error",
        }
    }
}

/// The body of every error.
pub fn body(code: Code, message: &str) -> String {
    let doc_url = format!("{DOC_PATH}#{}", code.as_str());
    json!({ "error": { "code": code.as_str(), "message": message, "doc_url": doc_url } }).to_string()
}

/// An answer that is not the one that was hoped for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ApiError {
    pub status: StatusCode,
    pub code: Code,
    pub message: String,
}

impl ApiError {
    fn new(status: StatusCode, code: Code, message: impl Into<String>) -> Self {
        ApiError { status, code, message: message.into() }
    }

    /// The request cannot be read at all.
    pub fn bad_request(message: impl Into<String>) -> Self {
        ApiError::new(StatusCode::BAD_REQUEST, Code::BadRequest, message)
    }

    /// The body is of another kind than JSON.
    pub fn unsupported_media_type() -> Self {
        let message = "The body must be JSON, sent with Content-Type: application/json.";
        ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, Code::BadRequest, message)
    }

    pub fn body_too_large(bytes_max: usize) -> Self {
        let message = format!("The body is larger than {bytes_max} bytes.");
        ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, Code::BadRequest, message)
    }

    pub fn body_too_slow(limit: Duration) -> Self {
        let message = format!("The body did not arrive within {} seconds.", limit.as_secs());
        ApiError::new(StatusCode::REQUEST_TIMEOUT, Code::BadRequest, message)
    }

    pub fn unauthorized(message: impl Into<String>) -> Self {
        ApiError::new(StatusCode::UNAUTHORIZED, Code::Unauthorized, message)
    }

    pub fn not_found(message: impl Into<String>) -> Self {
        ApiError::new(StatusCode::NOT_FOUND, Code::NotFound, message)
    }

    pub fn method_not_allowed() -> Self {
        let message = "This address does not answer that method.";
        ApiError::new(StatusCode::METHOD_NOT_ALLOWED, Code::BadRequest, message)
    }

    pub fn conflict(message: impl Into<String>) -> Self {
        ApiError::new(StatusCode::CONFLICT, Code::Conflict, message)
    }

    /// What was sent is readable, and wrong. The message names the field.
    pub fn unprocessable(message: impl Into<String>) -> Self {
        ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, Code::UnprocessableEntity, message)
    }

    /// Something that is needed does not answer; the same request may succeed later.
    pub fn unavailable(message: impl Into<String>) -> Self {
        ApiError::new(StatusCode::SERVICE_UNAVAILABLE, Code::InternalServerError, message)
    }

    fn internal() -> Self {
        let message = "Something went wrong here; the server's log says what.";
        ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, Code::InternalServerError, message)
    }
}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        self.status
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status);
        response.content_type("application/json").insert_header((header::CACHE_CONTROL, KEPT_NOWHERE));
        match self.status {
            StatusCode::SERVICE_UNAVAILABLE => {
                response.insert_header((header::RETRY_AFTER, RETRY_AFTER_SECONDS));
            }
            StatusCode::UNAUTHORIZED => {
                response.insert_header((header::WWW_AUTHENTICATE, "Bearer"));
            }
            _ => {}
        }
        response.body(body(self.code, &self.message))
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(_) | StoreError::Overloaded => {
                tracing::warn!(%error, "a request could not be served");
                ApiError::unavailable("The link store does not answer at the moment. Please try again.")
            }
            StoreError::Unreadable(_) => {
                tracing::error!(%error, "a request could not be served");
                ApiError::internal()
            }
        }
    }
}

impl From<LinkError> for ApiError {
    fn from(error: LinkError) -> Self {
        match error {
            LinkError::AliasTaken(_) | LinkError::ExternalIdTaken(_) | LinkError::ReplayedLinkDeleted => {
                ApiError::conflict(error.to_string())
            }
            LinkError::IdempotencyKeyReused => ApiError::unprocessable(error.to_string()),
            LinkError::ChangedMeanwhile => ApiError::conflict(error.to_string()),
            LinkError::NoCodes(_) => {
                // Counted, and not logged for each request: the allocator says what is the matter.
                tracing::debug!(%error, "no code for a new link");
                ApiError::unavailable("No code is ready for a new link at the moment. Please try again.")
            }
            LinkError::Store(error) => error.into(),
        }
    }
}

impl From<analytics::query::QueryError> for ApiError {
    fn from(error: analytics::query::QueryError) -> Self {
        match error {
            analytics::query::QueryError::Invalid(message) => ApiError::unprocessable(message),
            analytics::query::QueryError::Unavailable(_) => {
                tracing::warn!(%error, "a question about clicks could not be answered");
                ApiError::unavailable("Analytics does not answer at the moment. Please try again.")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seen to fail when what was refused for too much to do was answered 500.
    #[test]
    fn a_store_that_cannot_answer_now_is_503_with_retry_after() {
        for error in [StoreError::Unavailable("down".into()), StoreError::Overloaded] {
            let answer = ApiError::from(error).error_response();
            assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
            assert_eq!(answer.headers().get(header::RETRY_AFTER).expect("a pause"), RETRY_AFTER_SECONDS);
        }
        let damaged = ApiError::from(StoreError::Unreadable("damaged".into())).error_response();
        assert_eq!(damaged.status(), StatusCode::INTERNAL_SERVER_ERROR);
    }
}
