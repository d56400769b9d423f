//! OpenTelemetry traces: what a request does, and how long each part of it takes, over all processes that have to do with it.
//!
//! Whether something is traced is decided once, where it begins: by whoever asks, in a [`Traceparent`], or by the ratio of the settings. Where it is not,
//! or where no collector is named, a [`Span`] is empty: it takes no memory, and everything that is done to it does nothing.
//!
//! Spans go to a collector by OTLP over HTTP. It is waited for by nobody: what does not fit into a bounded queue is dropped and counted.
//!
//! An attribute is a method, a route, a status, a count or a time. It never is what somebody sent or is to be kept to themselves: a destination, a key, a code, an
//! address, a header.

#[cfg(feature = "actix")]
pub mod actix;
mod export;
mod settings;
mod span;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod traceparent;

pub use export::{Traces, start};
pub use settings::{Endpoint, TracesSettings};
pub use span::{Kind, Span, carried, child, drawn, is_on};
pub use traceparent::Traceparent;
