//! Clicks: from the click log to an answer.
//!
//! A click is appended to the [`click_log`], enriched off the request path ([`enrich`]), carried by a
//! [`ClickStream`](stream::ClickStream) to the [`consumer`], which folds it ([`fold`], pure) into [`rollups`], from which
//! [`query`] answers. This crate knows links by their ids only: what a link is called, who may see it and where it leads is none of its
//! business.

#[cfg(any(feature = "consumer", feature = "kafka"))]
mod batch_span;
pub mod click;
pub mod query;
pub mod stream;
pub mod timeline;
#[cfg(any(feature = "consumer", feature = "kafka"))]
mod trouble;

#[cfg(feature = "click-log")]
pub mod click_log;
#[cfg(feature = "client")]
pub mod client;
#[cfg(feature = "conformance")]
pub mod conformance;
#[cfg(feature = "consumer")]
pub mod consumer;
#[cfg(feature = "cql")]
pub mod cql;
#[cfg(feature = "consumer")]
pub mod engine;
#[cfg(feature = "enrich")]
pub mod enrich;
#[cfg(feature = "consumer")]
pub mod fold;
#[cfg(feature = "kafka")]
pub mod kafka;
#[cfg(feature = "click-log")]
pub mod local;
#[cfg(any(feature = "cql", feature = "kafka"))]
mod nodes;
#[cfg(feature = "consumer")]
pub mod rollups;
#[cfg(any(feature = "client", feature = "service"))]
pub mod secret;
#[cfg(feature = "service")]
pub mod service;
#[cfg(any(feature = "client", feature = "service"))]
pub mod wire;

#[cfg(test)]
mod tests;
