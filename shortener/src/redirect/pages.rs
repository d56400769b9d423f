//! What is answered where there is no redirect: a small page for browsers, JSON for programs.

use actix_http::{
    HttpMessage, Request, Response, StatusCode,
    body::{BoxBody, MessageBody},
    header::{self, HeaderValue},
};

use crate::{
    api::error::{Code, RETRY_AFTER_SECONDS, body},
    caching::KEPT_NOWHERE,
};

/// No link has this key.
pub fn not_found(request: &Request) -> Response<BoxBody> {
    answer(request, StatusCode::NOT_FOUND, Code::NotFound, "Link not found", "There is no link at this address.")
}

/// The link has expired, and names no other place.
pub fn gone(request: &Request) -> Response<BoxBody> {
    answer(request, StatusCode::GONE, Code::NotFound, "Link expired", "This link has expired.")
}

/// Whether there is such a link cannot be said now.
pub fn unavailable(request: &Request) -> Response<BoxBody> {
    let text = "This link cannot be looked up at the moment. Please try again.";
    let mut response = answer(request, StatusCode::SERVICE_UNAVAILABLE, Code::InternalServerError, "Try again", text);
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_SECONDS));
    response
}

/// A link is opened with GET or HEAD.
pub fn method_not_allowed(request: &Request) -> Response<BoxBody> {
    let text = "Links are opened with GET or HEAD.";
    let mut response = answer(request, StatusCode::METHOD_NOT_ALLOWED, Code::BadRequest, "Method not allowed", text);
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
    response
}

fn answer(request: &Request, status: StatusCode, code: Code, title: &str, text: &str) -> Response<BoxBody> {
    let (content_type, body) = if wants_html(request) {
        ("text/html; charset=utf-8", page(title, text))
    } else {
        ("application/json", body(code, text))
    };
    let mut response = Response::new(status).set_body(body.boxed());
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, KEPT_NOWHERE);
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

fn wants_html(request: &Request) -> bool {
    let accept = request.headers().get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
    accept.is_some_and(|accept| accept.contains("text/html"))
}

/// A page with nothing on it that has to be fetched. Title and text are the shortener's own words, never a request's.
fn page(title: &str, text: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"robots\" content=\"noindex\">\n<title>{title}</title>\n\
         <style>\n\
         :root {{ color-scheme: light dark }}\n\
         body {{ font: 1.1rem/1.5 system-ui, sans-serif; max-width: 32rem; margin: 20vh auto; padding: 0 1.5rem }}\n\
         h1 {{ font-size: 1.5rem; margin: 0 }}\n\
         </style>\n\
         <h1>{title}</h1>\n<p>{text}</p>\n</html>\n"
    )
}
