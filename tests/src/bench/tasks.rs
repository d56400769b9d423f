//! Async operations, so many in flight at a time: what a [load](super::load) does with requests, without a server in between.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::Result;
use futures::future::try_join_all;
use hdrhistogram::Histogram;

use super::load::{Outcome, histogram};

/// Repeats `operation`, which is told its number, with `in_flight` of them at a time: each a task of its own, which begins the next one
/// as soon as the one before has ended, and begins none after `time`.
///
/// # Errors
/// When one fails.
pub async fn run<F, O>(in_flight: usize, time: Duration, operation: F) -> Result<Outcome>
where
    F: Fn(u64) -> O + Send + Sync + 'static,
    O: Future<Output = Result<()>> + Send,
{
    let (operation, next, began) = (Arc::new(operation), Arc::new(AtomicU64::new(0)), Instant::now());
    let tasks = (0..in_flight).map(|_| {
        let (operation, next) = (Arc::clone(&operation), Arc::clone(&next));
        tokio::spawn(async move {
            let mut latency_ns = histogram()?;
            while began.elapsed() < time {
                let since = Instant::now();
                operation(next.fetch_add(1, Ordering::Relaxed)).await?;
                latency_ns.saturating_record(u64::try_from(since.elapsed().as_nanos())?);
            }
            anyhow::Ok(latency_ns)
        })
    });
    let ended = try_join_all(tasks).await?;
    let elapsed = began.elapsed();
    let mut latency_ns: Histogram<u64> = histogram()?;
    for task in ended {
        latency_ns.add(task?)?;
    }
    Ok(Outcome { answers: latency_ns.len(), elapsed, latency_ns })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use tokio::time::sleep;

    use super::*;

    /// Seen to fail when each task numbered its own operations, and when the tasks ran one after the other.
    #[tokio::test]
    async fn so_many_are_in_flight_and_each_has_a_number_of_its_own() {
        let (now, most, sum) = (AtomicUsize::new(0), Arc::new(AtomicUsize::new(0)), Arc::new(AtomicU64::new(0)));
        let now = Arc::new(now);
        let operation = {
            let (now, most, sum) = (Arc::clone(&now), Arc::clone(&most), Arc::clone(&sum));
            move |n| {
                let (now, most, sum) = (Arc::clone(&now), Arc::clone(&most), Arc::clone(&sum));
                async move {
                    most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    sleep(Duration::from_millis(1)).await;
                    now.fetch_sub(1, Ordering::SeqCst);
                    sum.fetch_add(n, Ordering::SeqCst);
                    Ok(())
                }
            }
        };
        let outcome = run(4, Duration::from_millis(20), operation).await.unwrap();
        assert_eq!(most.load(Ordering::SeqCst), 4);
        assert_eq!(sum.load(Ordering::SeqCst), (0..outcome.answers).sum::<u64>());
        assert!(outcome.latency().p50_us >= 1_000.0, "{outcome:?}");
    }

    #[tokio::test]
    async fn a_failure_ends_it() {
        let operation = |n| async move { if n == 3 { anyhow::bail!("no") } else { Ok(()) } };
        assert!(run(2, Duration::from_secs(60), operation).await.is_err());
    }
}
