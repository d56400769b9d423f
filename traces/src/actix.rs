//! Spans of the requests that an actix-web application answers.

use actix_web::{
    Error,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    http::Method,
    middleware::Next,
};

use crate::{Kind, Span, Traceparent, span};

/// What stands for methods that nobody knows.
const OTHER: &str = "_OTHER";

/// Lets a request through, in a span by the route that matched. It follows the request's `traceparent`: to be put behind what lets in only those who may
/// decide about that.
pub async fn request(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    if !span::is_on() {
        return next.call(request).await;
    }
    let span = begin(&request);
    let answered = span.around(next.call(request)).await;
    let status = match &answered {
        Ok(response) => response.status(),
        Err(error) => error.as_response_error().status_code(),
    };
    span.answered(status.as_u16());
    answered
}

fn begin(request: &ServiceRequest) -> Span {
    let parent = request.headers().get(Traceparent::HEADER).and_then(|value| value.to_str().ok());
    let parent = parent.and_then(Traceparent::parse);
    let span = Span::of(parent.as_ref(), Kind::SERVER, verb(request.method()));
    if span.is_traced() {
        span.set("http.request.method", method(request.method()));
        // What matches no route has none.
        if let Some(route) = request.match_pattern() {
            span.rename(format!("{} {route}", verb(request.method())));
            span.set("http.route", route);
        }
    }
    span
}

/// The method as a span is called by it.
pub fn verb(of: &Method) -> &'static str {
    match method(of) {
        OTHER => "HTTP",
        known => known,
    }
}

/// The method as it may be told: callers may make methods up.
pub fn method(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => OTHER,
    }
}
