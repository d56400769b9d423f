//! Measures the API: every request, by the route that matched and the status that was answered.

use std::time::Instant;

use actix_web::{
    Error,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    middleware::Next,
};

use crate::metrics;

/// What is counted for requests that match no route.
const NO_ROUTE: &str = "none";

/// Lets a request through, and records how long it took.
pub async fn request(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let started = Instant::now();
    let route = request.match_pattern().unwrap_or_else(|| NO_ROUTE.to_owned());
    let answered = next.call(request).await;
    let status = match &answered {
        Ok(response) => response.status(),
        Err(error) => error.as_response_error().status_code(),
    };
    metrics::api_request(route, status.as_u16(), started.elapsed());
    answered
}
