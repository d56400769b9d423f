//! Waiting for something to become true, with a deadline.

use std::{
    future::Future,
    time::{Duration, Instant},
};

/// How often it is asked again.
const STEP: Duration = Duration::from_millis(20);

/// Asks until `ask` answers `Some`.
///
/// # Panics
/// When that has not happened within `limit`; `what` names it.
pub async fn until<T, F: Future<Output = Option<T>>>(what: &str, limit: Duration, mut ask: impl FnMut() -> F) -> T {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(Instant::now() < deadline, "not within {limit:?}: {what}");
        tokio::time::sleep(STEP).await;
    }
}
