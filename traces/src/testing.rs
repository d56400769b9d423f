//! Traces that a test looks at: what ends in this process is kept in memory.

use std::{sync::OnceLock, time::Duration};

use opentelemetry::{
    Context, TraceId,
    trace::{Status, TracerProvider},
};
use opentelemetry_sdk::{
    error::OTelSdkResult,
    trace::{SdkTracerProvider, Span as SdkSpan, SpanData, SpanProcessor},
};
use parking_lot::Mutex;

use crate::{Kind, Span, Traceparent, span::Tracing};

static ENDED: Mutex<Vec<SpanData>> = Mutex::new(Vec::new());
/// Whoever drops it ends all tracing.
static PROVIDER: OnceLock<SdkTracerProvider> = OnceLock::new();

/// A trace that belongs to one test. Of what is in no such trace, nothing is traced.
pub struct Trace {
    parent: Traceparent,
}

/// A span that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    pub name: String,
    pub failed: bool,
    /// Its attributes, as they are written.
    pub attributes: Vec<(String, String)>,
}

impl Trace {
    pub fn begin() -> Self {
        PROVIDER.get_or_init(|| {
            let provider = SdkTracerProvider::builder().with_span_processor(Keep).build();
            assert!(Tracing { tracer: provider.tracer("test"), ratio: 0.0 }.begin(), "traces were started before");
            provider
        });
        let id = uuid::Uuid::new_v4().simple();
        let parent = Traceparent::parse(&format!("00-{id}-b7ad6b7169203331-01"));
        Trace { parent: parent.expect("it is written as it should be") }
    }

    /// What a caller sends who is in this trace.
    pub fn parent(&self) -> &Traceparent {
        &self.parent
    }

    /// A span of it.
    pub fn span(&self) -> Span {
        Span::of(Some(&self.parent), Kind::INTERNAL, "test")
    }

    /// What of it has ended, in the order in which it did.
    pub fn ended(&self) -> Vec<Ended> {
        let ended = ENDED.lock();
        let ours = ended.iter().filter(|span| span.span_context.trace_id() == self.id());
        let ours = ours.map(|span| Ended {
            name: span.name.to_string(),
            failed: matches!(span.status, Status::Error { .. }),
            attributes: span.attributes.iter().map(|of| (of.key.to_string(), of.value.to_string())).collect(),
        });
        ours.collect()
    }

    /// Those of this name: whether each has failed.
    pub fn failures(&self, name: &str) -> Vec<bool> {
        self.ended().into_iter().filter(|span| span.name == name).map(|span| span.failed).collect()
    }

    fn id(&self) -> TraceId {
        self.parent.trace_id()
    }
}

#[derive(Debug)]
struct Keep;

impl SpanProcessor for Keep {
    fn on_start(&self, _: &mut SdkSpan, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        ENDED.lock().push(span);
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}
