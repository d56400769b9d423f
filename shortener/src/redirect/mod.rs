//! Redirects: from a request's path to where it leads.

use std::sync::Arc;

pub mod cache;
pub mod front;
#[cfg(test)]
pub(crate) mod moody_store;
mod pages;
pub mod target;

use cache::{Cache, ResolveError};
use target::Target;

use crate::key::Requested;

/// Finds what a request asked for: the code first, then the alias of the same letters.
pub async fn resolve(
    cache: &Arc<Cache>,
    requested: &Requested,
    uptime_ms: i64,
) -> Result<Option<Target>, ResolveError> {
    for key in requested.keys() {
        if let Some(target) = cache.resolve(&key, uptime_ms).await? {
            return Ok(Some(target));
        }
    }
    Ok(None)
}
