//! The analytics service: counts the clicks of a topic into rollups, and answers questions from them over HTTP. Any number of them share
//! the partitions of the topic; each answers for all of it.
//!
//! `main` parses the [`settings`] and runs the [`app`]. One task counts ([`counting`]); questions come in by [`http`], pass
//! [`admission`], and are answered by the engine from the one store that [`rollups`] opens by its URL.
//!
//! # Limits
//! | limit | when it is reached | metric |
//! |---|---|---|
//! | [`QUERIES_MAX`](admission::QUERIES_MAX) questions at once | one more is 503 with Retry-After | `septet_analytics_queries_under_way` |
//! | [`QUERY_TIMEOUT`](admission::QUERY_TIMEOUT) for each | it is given up: 503 with Retry-After | `septet_analytics_calls_total` |
//! | [`BODY_BYTES_MAX`](crate::wire::BODY_BYTES_MAX) bytes of a body, five seconds to send it | 413, 408 | `septet_analytics_bodies_refused_total` |
//! | connections, see [`http::server`] | more wait to be accepted | `septet_analytics_connections` |
//!
//! What counting takes on is limited by the [`consumer`](crate::consumer), and what comes from Kafka by the
//! [`stream`](crate::kafka::stream).

pub mod admission;
pub mod app;
pub mod counting;
mod drain;
mod greeting;
pub mod http;
pub mod logging;
pub mod metrics;
mod open_files;
pub mod ops;
pub mod rollups;
pub mod sentence;
pub mod settings;
mod waiting;
