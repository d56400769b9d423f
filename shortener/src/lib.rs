//! Septet's shortener: redirects and the links API.
//!
//! `main` parses the [`settings`] and runs the [`app`]. A request meets the [`redirect`] front first, and the [`api`] behind
//! it. Both work on the [`store`]; new links take their ids from the [`allocator`].

pub mod allocator;
pub mod api;
mod api_key;
pub mod app;
mod backends;
mod backoff;
mod caching;
pub mod changes;
mod clicks;
pub mod clock;
pub mod code;
pub mod copy;
mod counting;
mod data_dir;
pub mod destination;
mod drain;
mod greeting;
pub mod health;
mod id_space;
pub mod key;
pub mod link;
pub mod logging;
pub mod metrics;
pub mod ops;
mod outage;
pub mod probe;
mod queries;
pub mod redirect;
pub mod server;
pub mod settings;
pub mod shortener;
pub mod store;
