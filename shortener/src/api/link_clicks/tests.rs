//! Answers about links while analytics answers, hangs and fails.

use std::sync::atomic::{AtomicBool, AtomicU64};

use analytics::query::{Answer, Links, Query, QueryError};
use async_trait::async_trait;

use super::*;

/// Analytics that counts how often it is asked.
#[derive(Default)]
struct Asked {
    times: AtomicU64,
    hangs: AtomicBool,
    fails: AtomicBool,
}

#[async_trait]
impl Queries for Asked {
    async fn answer(&self, _: &Query) -> Result<Answer, QueryError> {
        unreachable!("only totals are asked for")
    }

    async fn totals(&self, links: &[u64]) -> Result<Vec<Totals>, QueryError> {
        self.times.fetch_add(1, Ordering::Relaxed);
        if self.hangs.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
        if self.fails.load(Ordering::Relaxed) {
            return Err(QueryError::Unavailable("told to fail".into()));
        }
        Ok(links.iter().map(|_| Totals { clicks: 3, bots: 0, last_ms: None }).collect())
    }

    async fn first_click_ms(&self, _: &Links) -> Result<Option<i64>, QueryError> {
        unreachable!("only totals are asked for")
    }
}

fn clicks() -> (Arc<Asked>, LinkClicks) {
    let asked = Arc::new(Asked::default());
    (Arc::clone(&asked), LinkClicks::new(asked))
}

/// Seen to fail when each answer waited anew, and when nobody tried again.
#[tokio::test(start_paused = true)]
async fn while_analytics_hangs_one_answer_waits_now_and_then() {
    let (asked, clicks) = clicks();
    assert_eq!(clicks.of(&[1, 2]).await.iter().map(|totals| totals.clicks).sum::<u64>(), 6);
    asked.hangs.store(true, Ordering::Relaxed);
    let began = Instant::now();
    for _ in 0..100 {
        assert_eq!(clicks.of(&[1]).await, [Totals::default()]);
    }
    assert_eq!((began.elapsed(), asked.times.load(Ordering::Relaxed)), (WAIT, 2), "the first one waited");
    tokio::time::advance(AWAY).await;
    let answers = futures::future::join_all((0..100).map(|_| clicks.of(&[1]))).await;
    assert!(answers.iter().all(|totals| *totals == [Totals::default()]));
    assert_eq!(asked.times.load(Ordering::Relaxed), 3, "one of a hundred tried");

    asked.hangs.store(false, Ordering::Relaxed);
    tokio::time::advance(AWAY).await;
    assert_eq!(clicks.of(&[1]).await[0].clicks, 3);
    assert_eq!(clicks.of(&[1]).await[0].clicks, 3, "and goes on");
}

/// Seen to fail when an error was taken for an answer.
#[tokio::test(start_paused = true)]
async fn a_failure_counts_as_no_clicks_and_is_not_repeated_at_once() {
    let (asked, clicks) = clicks();
    asked.fails.store(true, Ordering::Relaxed);
    for _ in 0..3 {
        assert_eq!(clicks.of(&[7]).await, [Totals::default()]);
    }
    assert_eq!(asked.times.load(Ordering::Relaxed), 1);
}
