//! Which span something belongs to, on its way to another process: W3C Trace Context, `traceparent`.

use opentelemetry::{
    Context,
    propagation::{Extractor, Injector, TextMapPropagator},
    trace::{SpanContext, TraceContextExt},
};
use opentelemetry_sdk::propagation::TraceContextPropagator;

/// A span of somebody else, who decided whether it is traced. His `tracestate` is neither read nor handed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Traceparent(SpanContext);

/// The characters of its parts: version, trace, span and flags. A later version may have more of them.
const LENGTHS: [usize; 4] = [2, 32, 16, 2];

impl Traceparent {
    /// The name of the header, of HTTP and of records alike.
    pub const HEADER: &str = "traceparent";

    /// `None` for what is none.
    pub fn parse(value: &str) -> Option<Self> {
        // The library fills up what is too short.
        let mut lengths = value.split('-').map(str::len);
        if !LENGTHS.iter().all(|length| lengths.next() == Some(*length)) {
            return None;
        }
        let context = TraceContextPropagator::new().extract_with_context(&Context::new(), &Given(value));
        let span = context.span().span_context().clone();
        span.is_valid().then_some(Self(span))
    }

    /// Whether what it belongs to is traced.
    pub fn is_sampled(&self) -> bool {
        self.0.is_sampled()
    }

    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn trace_id(&self) -> opentelemetry::TraceId {
        self.0.trace_id()
    }

    pub(crate) fn into_context(self) -> Context {
        Context::new().with_remote_span_context(self.0)
    }

    /// The header's value for a span in its context.
    pub(crate) fn of(context: &Context) -> Option<String> {
        let mut written = Written(None);
        TraceContextPropagator::new().inject_context(context, &mut written);
        written.0
    }
}

struct Given<'a>(&'a str);

impl Extractor for Given<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        (key == Traceparent::HEADER).then_some(self.0)
    }

    fn keys(&self) -> Vec<&str> {
        vec![Traceparent::HEADER]
    }
}

struct Written(Option<String>);

impl Injector for Written {
    fn set(&mut self, key: &str, value: String) {
        if key == Traceparent::HEADER {
            self.0 = Some(value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLED: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn it_is_read_as_it_is_written() {
        let read = Traceparent::parse(SAMPLED).unwrap();
        assert!(read.is_sampled());
        assert_eq!(Traceparent::of(&read.into_context()).as_deref(), Some(SAMPLED));
        assert!(!Traceparent::parse(&SAMPLED.replace("-01", "-00")).unwrap().is_sampled());
    }

    /// Seen to fail when ids that are too short were filled up.
    #[test]
    fn what_is_none_is_none() {
        let zeros = "00-00000000000000000000000000000000-b7ad6b7169203331-01";
        for wrong in ["", "nonsense", "00-0af7-b7ad-01", zeros, &SAMPLED.to_uppercase(), &"0".repeat(10_000)] {
            assert_eq!(Traceparent::parse(wrong), None, "{wrong}");
        }
    }
}
