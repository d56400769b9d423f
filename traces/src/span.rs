//! Spans, and which one is the current one.

use std::{
    borrow::Cow,
    fmt,
    pin::Pin,
    sync::OnceLock,
    task::{self, Poll},
};

use opentelemetry::{
    Context, KeyValue, Value,
    trace::{SpanBuilder, SpanKind, Status, TraceContextExt, Tracer},
};
use opentelemetry_sdk::trace::SdkTracer;
use pin_project_lite::pin_project;

use crate::Traceparent;

/// What makes spans in this process, once traces were [started](crate::start).
static TRACING: OnceLock<Tracing> = OnceLock::new();

pub(crate) struct Tracing {
    pub tracer: SdkTracer,
    pub ratio: f64,
}

impl Tracing {
    /// Makes spans from here on; `false` if something did before.
    pub fn begin(self) -> bool {
        TRACING.set(self).is_ok()
    }

    fn draw(&self) -> bool {
        rand::random::<f64>() < self.ratio
    }

    fn span(&self, kind: Kind, name: Cow<'static, str>, parent: &Context) -> Span {
        let span = self.tracer.build_with_context(SpanBuilder::from_name(name).with_kind(kind.0), parent);
        Span(Some(parent.with_span(span)))
    }
}

/// Whether anything may be traced: whether a collector is named.
#[inline]
pub fn is_on() -> bool {
    TRACING.get().is_some()
}

/// Draws lots by the ratio, for what begins with [`Span::drawn`]. Without a collector this is one look at one place in memory.
#[inline]
pub fn drawn() -> bool {
    TRACING.get().is_some_and(Tracing::draw)
}

/// Whose part a span is in a call.
#[derive(Debug, Clone)]
pub struct Kind(SpanKind);

impl Kind {
    /// Answers a call.
    pub const SERVER: Kind = Kind(SpanKind::Server);
    /// Makes one, and waits for the answer.
    pub const CLIENT: Kind = Kind(SpanKind::Client);
    /// Sends what somebody else will work on.
    pub const PRODUCER: Kind = Kind(SpanKind::Producer);
    /// Works on what somebody else has sent.
    pub const CONSUMER: Kind = Kind(SpanKind::Consumer);
    /// None of these.
    pub const INTERNAL: Kind = Kind(SpanKind::Internal);
}

/// Something that takes time, until this is dropped; empty where it is not traced.
#[derive(Default)]
pub struct Span(Option<Context>);

impl Span {
    /// What somebody began who knows whether it is traced; or nobody knows yet, and the ratio decides.
    pub fn of(parent: Option<&Traceparent>, kind: Kind, name: impl Into<Cow<'static, str>>) -> Span {
        let Some(tracing) = TRACING.get() else { return Span(None) };
        match parent {
            Some(parent) if parent.is_sampled() => tracing.span(kind, name.into(), &parent.clone().into_context()),
            None if tracing.draw() => tracing.span(kind, name.into(), &Context::new()),
            Some(_) | None => Span(None),
        }
    }

    /// What is traced, as lots were [drawn](drawn) before.
    pub fn drawn(kind: Kind, name: impl Into<Cow<'static, str>>) -> Span {
        TRACING.get().map_or(Span(None), |tracing| tracing.span(kind, name.into(), &Context::new()))
    }

    /// A part of this one.
    pub fn child(&self, kind: Kind, name: impl Into<Cow<'static, str>>) -> Span {
        match (&self.0, TRACING.get()) {
            (Some(parent), Some(tracing)) => tracing.span(kind, name.into(), parent),
            _ => Span(None),
        }
    }

    pub fn is_traced(&self) -> bool {
        self.0.is_some()
    }

    /// Says something about it, once: never what somebody sent (see the [crate]).
    pub fn set(&self, key: &'static str, value: impl Into<Value>) {
        if let Some(context) = &self.0 {
            context.span().set_attribute(KeyValue::new(key, value));
        }
    }

    /// Calls it something else: for a name that takes time to make.
    #[cfg(feature = "actix")]
    pub(crate) fn rename(&self, name: String) {
        if let Some(context) = &self.0 {
            context.span().update_name(name);
        }
    }

    /// It was answered with this status of HTTP. A request that was refused was answered as it should be.
    pub fn answered(&self, status: u16) {
        self.status(status, 500);
    }

    /// An answer with this status of HTTP came to it. A request that was refused has not got what it was for.
    pub fn got(&self, status: u16) {
        self.status(status, 400);
    }

    fn status(&self, status: u16, failed_from: u16) {
        if self.is_traced() {
            self.set("http.response.status_code", i64::from(status));
            if status >= failed_from {
                self.set("error.type", status.to_string());
                self.failed();
            }
        }
    }

    /// Ends it with what came of it: it has failed if that is an error. To be called outside of what may be cut off by a deadline.
    pub fn outcome<T, E>(self, result: Result<T, E>) -> Result<T, E> {
        result.inspect_err(|_| self.failed())
    }

    /// It did not do what it was to do. Why is in the log, which may say more than a trace.
    pub fn failed(&self) {
        if let Some(context) = &self.0 {
            context.span().set_status(Status::error(""));
        }
    }

    /// What tells another process that it works on a part of this; `None` if it is not traced.
    pub fn traceparent(&self) -> Option<String> {
        self.0.as_ref().and_then(Traceparent::of)
    }

    /// While `future` runs, this is the current span, if it is traced.
    pub fn around<F>(&self, future: F) -> Within<F> {
        Within { future, context: self.0.clone() }
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        // What was carried elsewhere may keep its context for longer.
        if let Some(context) = &self.0 {
            context.span().end();
        }
    }
}

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Span").field("is_traced", &self.is_traced()).finish()
    }
}

/// A part of the current span, if there is one.
pub fn child(kind: Kind, name: impl Into<Cow<'static, str>>) -> Span {
    let Some(tracing) = TRACING.get() else { return Span(None) };
    match current() {
        Some(parent) => tracing.span(kind, name.into(), &parent),
        None => Span(None),
    }
}

/// Takes the current span along, if there is one: for what goes on in another task.
pub fn carried<F>(future: F) -> Within<F> {
    Within { future, context: TRACING.get().and_then(|_| current()) }
}

fn current() -> Option<Context> {
    Context::map_current(|context| context.has_active_span().then(|| context.clone()))
}

pin_project! {
    /// A future that has a current span; see [`Span::around`].
    pub struct Within<F> {
        #[pin]
        future: F,
        context: Option<Context>,
    }
}

impl<F: Future> Future for Within<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, task: &mut task::Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let _current = this.context.clone().map(Context::attach);
        this.future.poll(task)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Trace;

    /// Seen to fail when an error of a part was not told, and when a request that was refused failed where it was answered.
    #[test]
    fn what_failed_says_so() {
        let trace = Trace::begin();
        let part = |name: &'static str| trace.span().child(Kind::INTERNAL, name);
        assert_eq!(part("done").outcome(Ok::<_, ()>(7)), Ok(7));
        assert_eq!(part("failed").outcome(Err::<(), _>(7)), Err(7));
        part("answered 404").answered(404);
        part("answered 503").answered(503);
        part("got 302").got(302);
        part("got 404").got(404);
        let ended = trace.ended();
        let of = |name: &str| {
            let span = ended.iter().find(|span| span.name == name).unwrap_or_else(|| panic!("{name} in {ended:?}"));
            let kind = span.attributes.iter().find(|(key, _)| key == "error.type");
            (span.failed, kind.map(|(_, value)| value.as_str()))
        };
        assert_eq!((of("done"), of("failed")), ((false, None), (true, None)));
        assert_eq!((of("answered 404"), of("answered 503")), ((false, None), (true, Some("503"))));
        assert_eq!((of("got 302"), of("got 404")), ((false, None), (true, Some("404"))));
    }

    #[test]
    fn a_parent_that_is_not_sampled_makes_no_span() {
        let trace = Trace::begin();
        let unsampled = Traceparent::parse("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00").unwrap();
        assert!(!Span::of(Some(&unsampled), Kind::SERVER, "span").is_traced());
        assert!(Span::of(Some(trace.parent()), Kind::SERVER, "span").is_traced());
        assert!(!Span::of(None, Kind::SERVER, "the ratio is 0").is_traced());
    }
}
