//! Septet's shortener: redirects and the links API.

pub mod allocator;
pub mod code;
pub mod store;
