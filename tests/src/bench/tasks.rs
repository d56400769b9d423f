//! Async operations, so many in flight at a time: what a [load](super::load) does with requests, without a server in between.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::Result;
use tokio::task::JoinSet;

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
    let mut tasks = JoinSet::new();
    for _ in 0..in_flight {
        let (operation, next) = (Arc::clone(&operation), Arc::clone(&next));
        tasks.spawn(async move {
            let mut latency_ns = histogram()?;
            while began.elapsed() < time {
                let since = Instant::now();
                operation(next.fetch_add(1, Ordering::Relaxed)).await?;
                latency_ns.saturating_record(u64::try_from(since.elapsed().as_nanos())?);
            }
            anyhow::Ok(latency_ns)
        });
    }
    let mut latency_ns = histogram()?;
    while let Some(ended) = tasks.join_next().await {
        latency_ns.add(ended??)?;
    }
    let elapsed = began.elapsed();
    Ok(Outcome { answers: latency_ns.len(), elapsed, latency_ns })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use anyhow::bail;
    use tokio::{
        task::yield_now,
        time::{sleep, timeout},
    };

    use super::*;

    /// Seen to fail when each task numbered its own operations, and when the tasks ran one after the other.
    #[tokio::test]
    async fn so_many_are_in_flight_and_each_has_a_number_of_its_own() {
        let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let sum = Arc::new(AtomicU64::new(0));
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

    /// Seen to fail when a failure was an operation like others, and when the other tasks went on to their end.
    #[tokio::test]
    async fn a_failure_ends_it_at_once() {
        let operation = |n| async move {
            yield_now().await;
            if n == 3 { bail!("no") } else { Ok(()) }
        };
        let failed = timeout(Duration::from_secs(10), run(2, Duration::from_secs(60), operation)).await;
        assert!(failed.expect("it does not go on").is_err());
    }
}
