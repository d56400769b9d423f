//! Redirects that are traced: the same as the others, and slower.

use actix_http::{Method, Request, Response, body::BoxBody};
use traces::{Kind, Span};

use super::{Redirects, pages};
use crate::{clock, key::Requested};

/// What stands for the path, which is nobody's business.
const ROUTE: &str = "/{key}";

impl Redirects {
    /// Answers any key, in a trace of its own. A `traceparent` is a stranger's, and not looked at: he is not to decide what we trace.
    pub(super) async fn traced(&self, request: &Request) -> Response<BoxBody> {
        let method = traces::actix::method(request.method());
        let span = Span::drawn(Kind::SERVER, format!("{method} {ROUTE}"));
        span.set("http.request.method", method);
        span.set("http.route", ROUTE);
        let response = if matches!(*request.method(), Method::GET | Method::HEAD) {
            span.set("septet.cache", if self.is_cached(request) { "hit" } else { "miss" });
            match self.cached(request) {
                Some(response) => response,
                None => span.around(self.looked_up(request)).await,
            }
        } else {
            pages::method_not_allowed(request)
        };
        span.answered(response.status().as_u16());
        self.last_words(response)
    }

    /// Whether the link is cached and fresh. An absence that is remembered is none.
    fn is_cached(&self, request: &Request) -> bool {
        let requested = Requested::parse(request.path().trim_start_matches('/'));
        let uptime_ms = clock::uptime_ms();
        requested.is_some_and(|requested| requested.keys().any(|key| self.cache.fresh(&key, uptime_ms).is_some()))
    }
}
