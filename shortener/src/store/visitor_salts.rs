//! Visitor salts: one for each period, the same for all instances on one link store.

use analytics::enrich::visitor::Salt;
use async_trait::async_trait;

use super::StoreError;

/// Shares visitor salts, so that a person is one visitor at however many instances. A link store of one instance alone needs none of
/// this: its salts are in a file of the instance's own.
#[async_trait]
pub trait VisitorSalts: Send + Sync + 'static {
    /// The salt of a period, counted from 1970: `fresh`, which is random, if it had none, and the same for all who ask from then on. It is thrown
    /// away by itself, hours after its period; so only the current period and the next one are to be asked for.
    ///
    /// After [`StoreError::Unavailable`] `fresh` may have become the salt, or become it yet: who asks again is told.
    async fn visitor_salt(&self, period: u32, fresh: Salt) -> Result<Salt, StoreError>;
}
