//! What goes over the wire between an instance and the analytics service: JSON over HTTP, under a versioned path.
//!
//! Questions and answers are those of [`query`](crate::query). Within a version, fields are only ever added to answers, whose unknown ones
//! are skipped; a question with a field that a service does not know is refused, as its answer would be to another question.

use serde::{Deserialize, Serialize};

use crate::query::{Links, Totals};

/// `POST`: a [`Query`](crate::query::Query), answered by an [`Answer`](crate::query::Answer).
pub const QUERY: &str = "/v1/query";
/// `POST`: all that was ever counted of some links.
pub const TOTALS: &str = "/v1/totals";
/// `POST`: when the first click was counted.
pub const FIRST_CLICK: &str = "/v1/first-click";
/// `GET`: this API, in OpenAPI.
pub const OPENAPI: &str = "/v1/openapi.json";

/// The largest body of a call, in bytes: twice what a series of a thousand spans takes.
pub const BODY_BYTES_MAX: usize = 128 << 10;
/// The most links in one call for totals.
pub const TOTALS_LINKS_MAX: usize = 1_000;

/// The body of a call for totals.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "service", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct TotalsCall {
    /// Ids of links, at most 1,000.
    pub links: Vec<u64>,
}

/// The totals of the links that were asked for, in that order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "service", derive(utoipa::ToSchema))]
pub struct TotalsAnswer {
    pub totals: Vec<Totals>,
}

/// The body of a call for the first click.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "service", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct FirstClickCall {
    pub links: Links,
}

/// When the first click was counted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "service", derive(utoipa::ToSchema))]
pub struct FirstClickAnswer {
    /// Unix milliseconds; null without a click.
    pub first_click_ms: Option<i64>,
}

/// The body of every answer that is not 2xx.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "service", derive(utoipa::ToSchema))]
pub struct ErrorAnswer {
    pub error: ErrorBody,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "service", derive(utoipa::ToSchema))]
pub struct ErrorBody {
    pub code: ErrorCode,
    /// What is wrong, in a sentence.
    pub message: String,
}

/// Why a question got no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "service", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// 400, 408, 415: the call is not well-formed, or the question makes no sense.
    BadRequest,
    /// 401: the secret is missing or wrong.
    Unauthorized,
    /// 404: there is nothing at this path.
    NotFound,
    /// 405: not by this method.
    MethodNotAllowed,
    /// 413: the body is too large.
    TooLarge,
    /// 503: too many questions are asked at once.
    Overloaded,
    /// 503: the rollups cannot be read, or not in time.
    Unavailable,
}

impl ErrorCode {
    /// The code as it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            ErrorCode::BadRequest => "bad_request",
            ErrorCode::Unauthorized => "unauthorized",
            ErrorCode::NotFound => "not_found",
            ErrorCode::MethodNotAllowed => "method_not_allowed",
            ErrorCode::TooLarge => "too_large",
            ErrorCode::Overloaded => "overloaded",
            ErrorCode::Unavailable => "unavailable",
        }
    }
}
