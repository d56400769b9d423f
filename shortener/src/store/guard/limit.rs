//! Bounded concurrency: what is too much is refused at once, before a queue grows anywhere behind it.
//!
//! Each budget is its own, so that none can starve another: redirects do not wait for the API, nor writes for scans, and claims
//! are never shed for anything that requests do.

use ::metrics::Gauge;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::{Call, Guard, Kind, metrics};
use crate::store::StoreError;

/// How many calls may be under way at once; one more is [`StoreError::Overloaded`].
#[derive(Debug, Clone)]
pub struct LimitSettings {
    /// Look-ups by key: 1,024 by default, which at 5 ms each is 200,000 a second. A store that answers is never limited by it; one
    /// that hangs holds so many calls, and no more.
    pub look_ups_max: usize,
    /// Other reads, and writes: 1,024 by default.
    pub requests_max: usize,
    /// Listings and counts: 64 by default. They are long and each keeps many nodes busy.
    pub scans_max: usize,
    /// Claims and what else an instance does for itself: 64 by default. It does a few at a time; the limit is for the case that it
    /// does not.
    pub background_max: usize,
}

impl Default for LimitSettings {
    fn default() -> Self {
        LimitSettings { look_ups_max: 1024, requests_max: 1024, scans_max: 64, background_max: 64 }
    }
}

/// See the module.
#[derive(Debug)]
pub struct Limit {
    look_ups: Budget,
    requests: Budget,
    scans: Budget,
    background: Budget,
}

impl Limit {
    pub fn new(settings: &LimitSettings) -> Self {
        Limit {
            look_ups: Budget::new("look_ups", settings.look_ups_max),
            requests: Budget::new("requests", settings.requests_max),
            scans: Budget::new("scans", settings.scans_max),
            background: Budget::new("background", settings.background_max),
        }
    }

    fn budget(&self, kind: Kind) -> &Budget {
        match kind {
            Kind::LookUp => &self.look_ups,
            Kind::Read | Kind::Write => &self.requests,
            Kind::Scan => &self.scans,
            Kind::Background => &self.background,
        }
    }
}

impl Guard for Limit {
    async fn around<T: Send>(
        &self,
        call: Call,
        work: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        let _under_way = self.budget(call.kind()).take()?;
        work.await
    }
}

#[derive(Debug)]
struct Budget {
    name: &'static str,
    permits: Semaphore,
    in_flight: Gauge,
}

impl Budget {
    fn new(name: &'static str, max: usize) -> Self {
        Budget { name, permits: Semaphore::new(max), in_flight: metrics::budget(name, max) }
    }

    fn take(&self) -> Result<UnderWay<'_>, StoreError> {
        let Ok(permit) = self.permits.try_acquire() else {
            metrics::shed(self.name);
            return Err(StoreError::Overloaded);
        };
        self.in_flight.increment(1);
        Ok(UnderWay { _permit: permit, in_flight: &self.in_flight })
    }
}

/// A call under way, until it is dropped.
struct UnderWay<'a> {
    _permit: SemaphorePermit<'a>,
    in_flight: &'a Gauge,
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.in_flight.decrement(1);
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use futures::{FutureExt, future::BoxFuture};
    use metrics_exporter_prometheus::PrometheusBuilder;

    use super::*;

    const SMALL: LimitSettings = LimitSettings { look_ups_max: 3, requests_max: 2, scans_max: 1, background_max: 1 };

    /// Begins calls that hang; `None` when one was refused.
    fn begin(limit: &Limit, call: Call) -> Option<BoxFuture<'_, Result<(), StoreError>>> {
        let mut work = limit.around(call, pending()).boxed();
        match (&mut work).now_or_never() {
            None => Some(work),
            Some(Err(StoreError::Overloaded)) => None,
            Some(other) => panic!("{other:?}"),
        }
    }

    /// Begins such calls until one is refused.
    fn fill(limit: &Limit, call: Call) -> Vec<BoxFuture<'_, Result<(), StoreError>>> {
        std::iter::from_fn(|| begin(limit, call)).take(10).collect()
    }

    /// Seen to fail when all kinds shared one budget, and when one more call waited.
    #[test]
    fn each_budget_is_bounded_and_none_starves_another() {
        let limit = Limit::new(&SMALL);
        let mut held = Vec::new();
        for (call, max) in [(Call::Count, 1), (Call::Create, 2), (Call::ByKey, 3), (Call::Claim, 1)] {
            let calls = fill(&limit, call);
            assert_eq!(calls.len(), max, "{call:?}");
            held.push(calls);
        }
        assert!(begin(&limit, Call::ApiKey).is_none(), "reads and writes share a budget");
    }

    /// Seen to fail when the permit of a call that was dropped was not given back.
    #[test]
    fn a_call_gives_its_place_back_however_it_ends() {
        let limit = Limit::new(&SMALL);
        for _ in 0..3 {
            let held = fill(&limit, Call::ByKey);
            assert_eq!(held.len(), 3);
            drop(held);
            let failed = limit.around(Call::ByKey, async { Err::<(), _>(StoreError::Unreadable("damaged".into())) });
            assert!(matches!(failed.now_or_never(), Some(Err(StoreError::Unreadable(_)))));
            assert!(limit.around(Call::ByKey, async { Ok(()) }).now_or_never().unwrap().is_ok());
        }
    }

    /// Seen to fail when a dropped call stayed in the gauge, and when refusals were not counted.
    #[test]
    fn the_metrics_say_how_full_it_is() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let shown = recorder.handle();
        ::metrics::with_local_recorder(&recorder, || {
            let limit = Limit::new(&SMALL);
            let held = fill(&limit, Call::ByKey);
            let text = shown.render();
            assert!(text.contains("septet_store_calls_in_flight{budget=\"look_ups\"} 3"), "{text}");
            assert!(text.contains("septet_store_calls_in_flight_max{budget=\"look_ups\"} 3"), "{text}");
            assert!(text.contains("septet_store_calls_shed_total{budget=\"look_ups\"} 1"), "{text}");
            assert!(text.contains("septet_store_calls_shed_total{budget=\"background\"} 0"), "{text}");
            drop(held);
            assert!(shown.render().contains("septet_store_calls_in_flight{budget=\"look_ups\"} 0"));
        });
    }
}
