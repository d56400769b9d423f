//! What stands between a link store across a network and whoever calls it: limits, circuits and deadlines, as decorators of
//! the seam.
//!
//! A [`Guard`] is written once, for every call; [`Guarded`] puts it around a store, and is a store again. A pair of guards is a
//! guard. The store's answers pass unchanged: a guard adds errors and nothing else, so that an absence is always one that the
//! store has seen.
//!
//! A store that bounds itself, as the one in SQLite does by its queue and its pool, needs none of this.

use super::{Store, StoreError};

pub mod breaker;
mod call;
mod guarded;
pub mod limit;
mod metrics;
pub mod timeouts;

pub use breaker::{Breaker, BreakerSettings};
pub use call::{Call, Kind};
pub use guarded::Guarded;
pub use limit::{Limit, LimitSettings};
pub use timeouts::{TimeoutSettings, Timeouts};

/// Something that every call of a store goes through.
pub trait Guard: Send + Sync + 'static {
    /// Carries out `work`, which is `call`, or refuses to. Both this and `work` may be dropped at any time: for the store that is
    /// a crash between two of its steps, and a guard must have nothing left of the call then.
    fn around<T: Send>(
        &self,
        call: Call,
        work: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> impl Future<Output = Result<T, StoreError>> + Send;
}

/// The first guard, and the second one inside it.
impl<Outer: Guard, Inner: Guard> Guard for (Outer, Inner) {
    fn around<T: Send>(
        &self,
        call: Call,
        work: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> impl Future<Output = Result<T, StoreError>> + Send {
        let (outer, inner) = self;
        outer.around(call, inner.around(call, work))
    }
}

/// Everything that can be set about the guards of a store.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    pub limits: LimitSettings,
    pub breaker: BreakerSettings,
    pub timeouts: TimeoutSettings,
}

/// A store behind all guards. Its metrics are of the recorder that is installed at this moment.
pub fn around<S: Store>(store: S, settings: &Settings) -> Guarded<impl Guard + use<S>, S> {
    Guarded::new(guards(settings), store)
}

/// The limit is outside, so that what it refuses is no failure of the store's to the breaker; the deadlines are inside, so that
/// what is late is one, and no call holds a permit or a probe for ever.
fn guards(settings: &Settings) -> impl Guard + use<> {
    metrics::describe();
    let breaker = Breaker::new(&settings.breaker, &settings.timeouts);
    (Limit::new(&settings.limits), (breaker, Timeouts::new(&settings.timeouts)))
}

#[cfg(test)]
mod tests;
