//! Measures the API: every call, by the route that matched and how it ended.

use std::time::Instant;

use actix_web::{
    Error,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    http::Method,
    middleware::Next,
};

use super::error::ApiError;
use crate::service::metrics;

/// What is counted for calls that match no route.
const NO_ROUTE: &str = "none";

/// Lets a call through, and records how it ended and how long it took.
pub async fn call(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let started = Instant::now();
    let method = known(request.method());
    let route = request.match_pattern().unwrap_or_else(|| NO_ROUTE.to_owned());
    let answered = next.call(request).await;
    let error = match &answered {
        Ok(response) => response.response().error(),
        Err(error) => Some(error),
    };
    let outcome =
        error.map_or("ok", |error| error.as_error::<ApiError>().map_or("other", |error| error.code().as_str()));
    metrics::call(method, route, outcome, started.elapsed());
    answered
}

/// The method as a label: callers may make methods up.
fn known(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        _ => "other",
    }
}
