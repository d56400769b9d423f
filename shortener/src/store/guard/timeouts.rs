//! Deadlines: no call of the store takes longer than its kind may.
//!
//! A late call is dropped. For the store that is a crash between two of its steps, after which a write may have happened or
//! not, and that is what its caller is told.

use std::time::Duration;

use tokio::time::timeout;

use super::{Call, Guard, Kind, metrics};
use crate::store::StoreError;

/// How long calls may take.
#[derive(Debug, Clone)]
pub struct TimeoutSettings {
    /// Look-ups, reads and writes. A request is answered 503 in less than a second when one of them hangs: 900 ms by default.
    /// What a driver does within a call, such as a second attempt at another node, must fit into it.
    pub call_timeout: Duration,
    /// Listings and counts, which go through much: 10 s by default.
    pub scan_timeout: Duration,
    /// Claims and what else no request waits for. They are transactions and may have to be read back, and giving one up costs a
    /// block: 5 s by default.
    pub background_timeout: Duration,
}

impl Default for TimeoutSettings {
    fn default() -> Self {
        TimeoutSettings {
            call_timeout: Duration::from_millis(900),
            scan_timeout: Duration::from_secs(10),
            background_timeout: Duration::from_secs(5),
        }
    }
}

impl TimeoutSettings {
    /// How long a call of this kind may take.
    pub fn of(&self, kind: Kind) -> Duration {
        match kind {
            Kind::LookUp | Kind::Read | Kind::Write => self.call_timeout,
            Kind::Scan => self.scan_timeout,
            Kind::Background => self.background_timeout,
        }
    }
}

/// See the module.
#[derive(Debug)]
pub struct Timeouts(TimeoutSettings);

impl Timeouts {
    pub fn new(settings: &TimeoutSettings) -> Self {
        Timeouts(settings.clone())
    }
}

impl Guard for Timeouts {
    async fn around<T: Send>(
        &self,
        call: Call,
        work: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        let limit = self.0.of(call.kind());
        timeout(limit, work).await.unwrap_or_else(|_| {
            metrics::late(call);
            Err(StoreError::Unavailable(format!("it took longer than {} ms", limit.as_millis()).into()))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use tokio::time::{Instant, sleep};

    use super::*;

    async fn hung() -> Result<(), StoreError> {
        pending().await
    }

    /// Seen to fail when every kind had the deadline of look-ups, and when what was late was an error of another kind.
    #[tokio::test(start_paused = true)]
    async fn what_hangs_ends_at_the_deadline_of_its_kind() {
        let timeouts = Timeouts::new(&TimeoutSettings::default());
        let kinds =
            [(Call::ByKey, 900), (Call::ApiKey, 900), (Call::Create, 900), (Call::List, 10_000), (Call::Claim, 5_000)];
        for (call, limit_ms) in kinds {
            let begun = Instant::now();
            let error = timeouts.around(call, hung()).await.unwrap_err();
            assert_eq!(begun.elapsed().as_millis(), limit_ms, "{call:?}");
            assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
            assert!(error.to_string().ends_with(&format!("it took longer than {limit_ms} ms")), "{error}");
        }
    }

    /// Seen to fail when an error of the store's was replaced, and when the deadline was shorter than was set.
    #[tokio::test(start_paused = true)]
    async fn what_is_in_time_passes_unchanged() {
        let timeouts = Timeouts::new(&TimeoutSettings::default());
        let slow = async {
            sleep(Duration::from_millis(899)).await;
            Ok(7)
        };
        assert_eq!(timeouts.around(Call::ById, slow).await.unwrap(), 7);
        let refused = timeouts.around(Call::ById, async { Err::<(), _>(StoreError::Overloaded) }).await;
        assert!(matches!(refused, Err(StoreError::Overloaded)));
    }
}
