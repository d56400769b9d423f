//! How many statements are under way at once.

use metrics::{Gauge, describe_gauge, gauge};
use tokio::sync::Semaphore;

use crate::rollups::RollupsError;

const IN_FLIGHT: &str = "septet_rollups_statements_in_flight";
const IN_FLIGHT_MAX: &str = "septet_rollups_statements_in_flight_max";

/// Room for some statements of one kind of work: of more, the others wait for their turn.
pub(super) struct InFlight {
    room: Semaphore,
    max: u32,
    /// Of several stores in one process, together.
    shown: Gauge,
}

/// One that is under way.
struct Shown<'a>(&'a Gauge);

impl InFlight {
    pub fn new(work: &'static str, max: u32) -> Self {
        describe_gauge!(IN_FLIGHT, "Statements on rollups that are under way, by work.");
        describe_gauge!(IN_FLIGHT_MAX, "The same, at most; more of them wait.");
        gauge!(IN_FLIGHT_MAX, "work" => work).set(f64::from(max));
        InFlight { room: Semaphore::new(max as usize), max, shown: gauge!(IN_FLIGHT, "work" => work) }
    }

    /// Does `work`, which has one statement under way at a time, when there is room. Nothing of it is done before.
    ///
    /// # Errors
    /// Those of `work`, and [`RollupsError::Unavailable`] once it is closed.
    pub async fn run<T>(&self, work: impl Future<Output = Result<T, RollupsError>>) -> Result<T, RollupsError> {
        let Ok(_room) = self.room.acquire().await else {
            return Err(RollupsError::unavailable("it is closed"));
        };
        let _shown = Shown::new(&self.shown);
        work.await
    }

    /// Waits for what is under way, and lets nothing begin any more.
    pub async fn close(&self) {
        // An error: it is closed already.
        let _all = self.room.acquire_many(self.max).await;
        self.room.close();
    }
}

impl<'a> Shown<'a> {
    fn new(gauge: &'a Gauge) -> Self {
        gauge.increment(1.0);
        Shown(gauge)
    }
}

impl Drop for Shown<'_> {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, future::pending};

    use futures::{FutureExt, future::join_all, poll};

    use super::*;

    /// Seen to fail when there was room for one more.
    #[tokio::test]
    async fn so_many_are_under_way_and_no_more() {
        let (room, under_way, most) = (InFlight::new("test", 3), Cell::new(0), Cell::new(0));
        let work = || {
            room.run(async {
                under_way.set(under_way.get() + 1);
                most.set(most.get().max(under_way.get()));
                tokio::task::yield_now().await;
                under_way.set(under_way.get() - 1);
                Ok(())
            })
        };
        assert!(join_all((0..20).map(|_| work())).await.iter().all(Result::is_ok));
        assert_eq!(most.get(), 3);
    }

    /// Seen to fail when what waited for room was let in after all, and when the end did not wait.
    #[tokio::test]
    async fn the_end_waits_for_what_is_under_way_and_refuses_the_rest() {
        let room = InFlight::new("test", 1);
        let mut under_way = Box::pin(room.run(pending::<Result<(), RollupsError>>()));
        assert!(poll!(&mut under_way).is_pending());
        let mut closing = Box::pin(room.close());
        assert!(poll!(&mut closing).is_pending());
        let mut late = Box::pin(room.run(async { Ok(()) }));
        assert!(poll!(&mut late).is_pending());
        drop(under_way);
        closing.await;
        assert!(matches!(late.await, Err(RollupsError::Unavailable(_))));
        assert!(room.close().now_or_never().is_some(), "it may be closed again");
    }
}
