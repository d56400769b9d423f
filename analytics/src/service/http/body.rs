//! The body of a call: one JSON object, bounded in size and time.

use std::{pin::Pin, time::Duration};

use actix_web::{FromRequest, HttpMessage, HttpRequest, dev::Payload, http::header, web};
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use super::error::ApiError;
use crate::{
    service::metrics::{self, TOO_LARGE, TOO_SLOW},
    wire::BODY_BYTES_MAX,
};

/// How long a client may take to send a body, once its head was read: less than a step of stopping takes by default.
const BODY_TIMEOUT: Duration = Duration::from_secs(5);

/// What a body holds.
pub struct Body<T>(pub T);

impl<T: DeserializeOwned> FromRequest for Body<T> {
    type Error = ApiError;
    type Future = Pin<Box<dyn Future<Output = Result<Self, ApiError>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let is_json = request.content_type().eq_ignore_ascii_case("application/json");
        let announced =
            request.headers().get(header::CONTENT_LENGTH).and_then(|bytes| bytes.to_str().ok()?.parse().ok());
        let payload = web::Payload::from_request(request, payload);
        Box::pin(async move {
            if !is_json {
                return Err(ApiError::unsupported_media_type());
            }
            if announced.is_some_and(|bytes: usize| bytes > BODY_BYTES_MAX) {
                return Err(too_large());
            }
            let payload = payload.await.map_err(|error| ApiError::bad_request(error.to_string()))?;
            match timeout(BODY_TIMEOUT, payload.to_bytes_limited(BODY_BYTES_MAX)).await {
                Ok(Ok(Ok(body))) => parse(&body),
                Ok(Ok(Err(error))) => Err(ApiError::bad_request(format!("the body cannot be read: {error}"))),
                Ok(Err(_)) => Err(too_large()),
                Err(_) => {
                    metrics::body_refused(TOO_SLOW);
                    Err(ApiError::body_too_slow(BODY_TIMEOUT))
                }
            }
        })
    }
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<Body<T>, ApiError> {
    if body.trim_ascii().is_empty() {
        return Err(ApiError::bad_request("the body is empty; a JSON object is expected"));
    }
    // An array of the values would be read as well.
    if body.trim_ascii_start().starts_with(b"[") {
        return Err(ApiError::bad_request("the body is an array; a JSON object is expected"));
    }
    serde_json::from_slice(body).map(Body).map_err(|error| {
        let what = if error.is_data() { "the body is wrong" } else { "the body is not valid JSON" };
        ApiError::bad_request(format!("{what}: {error}"))
    })
}

fn too_large() -> ApiError {
    metrics::body_refused(TOO_LARGE);
    ApiError::body_too_large(BODY_BYTES_MAX)
}
