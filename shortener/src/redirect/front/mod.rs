//! The front of the public port: answers keys itself, and hands everything else to the application behind it.
//!
//! A cached key is answered without a wait or a call to anybody: one look into the cache, under a lock that readers
//! share and no change holds for long, and one copy into the click log. Only what is not cached waits, for the store
//! alone.

mod trace;

use std::{
    borrow::Cow,
    cell::RefCell,
    future::{Ready, ready},
    net::{IpAddr, Ipv4Addr},
    rc::Rc,
    sync::Arc,
    task::{Context, Poll},
};

use actix_http::{
    ConnectionType, HttpMessage, Method, Request, Response, StatusCode,
    body::BoxBody,
    header::{self, HeaderName, HeaderValue},
};
use actix_service::Service;
use analytics::click_log::{ClickWriter, record::RawClick};
use futures::{
    FutureExt,
    future::{Either, LocalBoxFuture},
};

use super::{
    cache::Cache,
    pages, resolve,
    target::{Outcome, Target},
};
use crate::{
    caching::KEPT_NOWHERE,
    clock,
    code::Code,
    key::{Key, Requested, is_reserved},
    link::{LinkId, RedirectStatus},
    metrics,
    ops::Readiness,
};

/// What of a request goes into the click log beside what every request has.
#[derive(Debug, Clone, Default)]
pub struct ClickHeaders {
    /// Whether `X-Forwarded-For` is worth keeping: only behind trusted proxies.
    pub forwarded_for: bool,
    /// The header in which a CDN names the country.
    pub country: Option<HeaderName>,
}

/// One worker thread's redirects: what it shares with the others, and its own click log.
pub struct Redirects {
    cache: Arc<Cache>,
    readiness: Readiness,
    /// `None` where clicks are not recorded.
    clicks: Option<RefCell<ClickWriter>>,
    headers: ClickHeaders,
}

impl Redirects {
    pub fn new(cache: Arc<Cache>, readiness: Readiness, clicks: Option<ClickWriter>, headers: ClickHeaders) -> Self {
        Redirects { cache, readiness, clicks: clicks.map(RefCell::new), headers }
    }

    /// Tells the client to come back elsewhere once this instance is about to stop.
    fn last_words(&self, mut response: Response<BoxBody>) -> Response<BoxBody> {
        if self.readiness.is_stopping() {
            response.head_mut().set_connection_type(ConnectionType::Close);
        }
        response
    }

    /// Answers what is cached and fresh, without a wait. Codes alone: they are nearly all of the traffic, and need no parsing.
    fn at_once(&self, request: &Request) -> Option<Response<BoxBody>> {
        if !reads(request) {
            return None;
        }
        let code = Code::parse(request.path().as_bytes().get(1..)?)?;
        let target = self.cache.fresh(&Key::Code(code), clock::uptime_ms())?;
        Some(self.answer(request, &target))
    }

    /// Answers what cannot be answered at once.
    async fn in_time(&self, request: &Request) -> Response<BoxBody> {
        if reads(request) { self.looked_up(request).await } else { pages::method_not_allowed(request) }
    }

    /// Answers any key.
    async fn looked_up(&self, request: &Request) -> Response<BoxBody> {
        let Some(requested) = Requested::parse(request.path().trim_start_matches('/')) else {
            metrics::redirect_absent();
            return pages::not_found(request);
        };
        match resolve(&self.cache, &requested, clock::uptime_ms()).await {
            Ok(Some(target)) => self.answer(request, &target),
            Ok(None) => {
                metrics::redirect_absent();
                pages::not_found(request)
            }
            Err(error) => {
                metrics::redirect_unavailable();
                tracing::debug!(%error, "a redirect could not be looked up");
                pages::unavailable(request)
            }
        }
    }

    fn answer(&self, request: &Request, target: &Target) -> Response<BoxBody> {
        let now_ms = clock::now_ms();
        match target.at(now_ms) {
            Outcome::Redirect { link, location, status } => {
                let Some(response) = redirect(location, status) else { return unreadable(request, link) };
                // Recorded before it is answered: a click that somebody saw answered is in the log.
                if request.method() == Method::GET {
                    self.record(request, link, now_ms);
                }
                metrics::redirect_found();
                response
            }
            Outcome::Expired { link, location } => {
                metrics::redirect_expired();
                redirect(location, RedirectStatus::Found).unwrap_or_else(|| unreadable(request, link))
            }
            Outcome::Gone => {
                metrics::redirect_expired();
                pages::gone(request)
            }
        }
    }

    fn record(&self, request: &Request, link: LinkId, now_ms: i64) {
        let Some(clicks) = &self.clicks else { return };
        let value = |name: &HeaderName| request.headers().get(name).map_or(&b""[..], HeaderValue::as_bytes);
        let forwarded_for = if self.headers.forwarded_for { forwarded_for(request) } else { Cow::default() };
        let click = RawClick {
            at_ms: now_ms,
            link: link.0,
            peer: request.peer_addr().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.ip()),
            user_agent: value(&header::USER_AGENT),
            referer: value(&header::REFERER),
            forwarded_for: &forwarded_for,
            country: self.headers.country.as_ref().map_or(b"", value),
        };
        // A full log does not hold up the redirect; the log counts what it could not take.
        let _ = clicks.borrow_mut().append(&click);
    }
}

/// Whether it is a method that keys are asked by.
fn reads(request: &Request) -> bool {
    matches!(*request.method(), Method::GET | Method::HEAD)
}

/// `X-Forwarded-For` as one list: a proxy may append a line of its own to what the client sent.
fn forwarded_for(request: &Request) -> Cow<'_, [u8]> {
    let mut lines = request.headers().get_all(header::X_FORWARDED_FOR).map(HeaderValue::as_bytes);
    let Some(first) = lines.next() else { return Cow::default() };
    let mut list = Cow::Borrowed(first);
    for line in lines {
        let list = list.to_mut();
        list.extend_from_slice(b", ");
        list.extend_from_slice(line);
    }
    list
}

/// A stored destination that is no header: damaged, or written by something else.
fn unreadable(request: &Request, link: LinkId) -> Response<BoxBody> {
    tracing::error!(link = link.0, "the link store holds a destination that is none");
    metrics::redirect_unavailable();
    pages::unavailable(request)
}

/// `None` if the location cannot stand in a header.
fn redirect(location: &[u8], status: RedirectStatus) -> Option<Response<BoxBody>> {
    let status = match status {
        RedirectStatus::MovedPermanently => StatusCode::MOVED_PERMANENTLY,
        RedirectStatus::Found => StatusCode::FOUND,
        RedirectStatus::TemporaryRedirect => StatusCode::TEMPORARY_REDIRECT,
        RedirectStatus::PermanentRedirect => StatusCode::PERMANENT_REDIRECT,
    };
    let mut response = Response::new(status);
    response.headers_mut().insert(header::LOCATION, HeaderValue::from_bytes(location).ok()?);
    response.headers_mut().insert(header::CACHE_CONTROL, KEPT_NOWHERE);
    Some(response)
}

/// See the module.
pub struct Front<S> {
    redirects: Rc<Redirects>,
    app: S,
}

impl<S> Front<S> {
    pub fn new(redirects: Rc<Redirects>, app: S) -> Self {
        Front { redirects, app }
    }
}

impl<S> Service<Request> for Front<S>
where
    S: Service<Request>,
    S::Response: Into<Response<BoxBody>>,
    S::Error: Into<actix_web::Error>,
    S::Future: 'static,
{
    type Response = Response<BoxBody>;
    type Error = actix_web::Error;
    type Future = Either<
        Ready<Result<Response<BoxBody>, actix_web::Error>>,
        LocalBoxFuture<'static, Result<Response<BoxBody>, actix_web::Error>>,
    >;

    fn poll_ready(&self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.app.poll_ready(context).map_err(Into::into)
    }

    fn call(&self, request: Request) -> Self::Future {
        if traces::drawn() && !is_reserved(request.path()) {
            let redirects = Rc::clone(&self.redirects);
            return Either::Right(async move { Ok(redirects.traced(&request).await) }.boxed_local());
        }
        if let Some(response) = self.redirects.at_once(&request) {
            return Either::Left(ready(Ok(self.redirects.last_words(response))));
        }
        let redirects = Rc::clone(&self.redirects);
        if is_reserved(request.path()) {
            let answered = self.app.call(request);
            let answered = async move {
                let answer = answered.await.map_err(Into::into)?;
                Ok(redirects.last_words(answer.into()))
            };
            return Either::Right(answered.boxed_local());
        }
        Either::Right(async move { Ok(redirects.last_words(redirects.in_time(&request).await)) }.boxed_local())
    }
}

#[cfg(test)]
mod tests;
