//! OpenTelemetry traces: what a request does, and how long each part of it takes, over all processes that have to do with it.
//!
//! Whether something is traced is decided once, where it begins: by whoever asks, in a [`Traceparent`], or by the ratio of the settings. Where it is not,
//! or where no collector is named, a [`Span`] is empty: nothing is allocated, and everything that is done to it does nothing.
//!
//! Spans go to a collector by OTLP over HTTP. It is waited for by nobody: what does not fit into a bounded queue is dropped and counted.
//!
//! An attribute is a route, a status, a count or a time. It never is what somebody sent or is to be kept to themselves: a destination, a key, a code, an
//! address, a header.

#[cfg(feature = "actix")]
pub mod actix;
mod export;
mod settings;
mod span;
mod traceparent;

pub use export::{EXPORT_TIMEOUT, FLUSH_TIMEOUT_MAX, SPANS_WAITING_MAX, Traces, start};
pub use settings::{Endpoint, EndpointError, TracesSettings};
pub use span::{Kind, Span, Within, carried, child, drawn};
pub use traceparent::Traceparent;
