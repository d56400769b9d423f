//! Redirects: from a request's path to where it leads.

use std::sync::Arc;

pub mod cache;
pub mod front;
mod pages;
pub mod target;

use cache::{Cache, ResolveError};
use target::Target;

use crate::key::{Key, Requested};

/// Finds what a request asked for: the code first, then the alias of the same letters.
pub async fn resolve(cache: &Arc<Cache>, requested: Requested, now_ms: i64) -> Result<Option<Target>, ResolveError> {
    let candidates = [requested.code.map(Key::Code), requested.alias.map(Key::Alias)];
    for key in candidates.into_iter().flatten() {
        if let Some(target) = cache.resolve(&key, now_ms).await? {
            return Ok(Some(target));
        }
    }
    Ok(None)
}
