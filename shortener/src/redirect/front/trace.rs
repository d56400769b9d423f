//! Redirects that are traced: answered as the others are, and slower.

use actix_http::{Request, Response, body::BoxBody};
use traces::{Kind, Span, actix};

use super::{Redirects, reads};
use crate::{clock, key::Requested};

/// What stands for the path, which is nobody's business.
const ROUTE: &str = "/{key}";

impl Redirects {
    /// Answers any key, in a trace of its own. A `traceparent` is a stranger's, and not looked at: he is not to decide what we trace.
    pub(super) async fn traced(&self, request: &Request) -> Response<BoxBody> {
        let span = Span::drawn(Kind::SERVER, format!("{} {ROUTE}", actix::verb(request.method())));
        span.set("http.request.method", actix::method(request.method()));
        span.set("http.route", ROUTE);
        if reads(request) {
            span.set("septet.cache", if self.is_cached(request) { "hit" } else { "miss" });
        }
        let response = match self.at_once(request) {
            Some(response) => response,
            None => span.around(self.in_time(request)).await,
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
