//! Septet's shortener: redirects and the links API.

pub mod allocator;
pub mod code;
pub mod destination;
pub mod key;
pub mod link;
mod metrics;
pub mod store;
