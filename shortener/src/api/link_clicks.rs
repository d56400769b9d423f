//! How often links were clicked, for answers about links. These wait for nobody: while analytics does not answer, they say that there were no
//! clicks, which must not keep anybody from their links.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use analytics::query::{Queries, Totals};
use tokio::time::{Instant, timeout};

use crate::metrics;

/// How long an answer waits for clicks.
const WAIT: Duration = Duration::from_millis(500);
/// After a wait in vain no answer waits for so long; then one of them tries.
const AWAY: Duration = Duration::from_secs(2);

/// While analytics answers.
const HERE: i64 = 0;

/// Asks analytics for totals, as long as it answers.
pub struct LinkClicks {
    queries: Arc<dyn Queries>,
    made: Instant,
    /// Since it was made; or [`HERE`].
    away_until_ms: AtomicI64,
}

impl LinkClicks {
    pub fn new(queries: Arc<dyn Queries>) -> Self {
        LinkClicks { queries, made: Instant::now(), away_until_ms: AtomicI64::new(HERE) }
    }

    /// The totals of each of these links, by their ids; zeros if they are not to be had now.
    pub async fn of(&self, links: &[u64]) -> Vec<Totals> {
        if self.may_ask() {
            match timeout(WAIT, self.queries.totals(links)).await {
                Ok(Ok(totals)) => {
                    self.answered();
                    return totals;
                }
                Ok(Err(error)) => self.failed(&error),
                Err(_) => self.failed(&"analytics took too long"),
            }
        }
        metrics::links_without_clicks(links.len());
        vec![Totals::default(); links.len()]
    }

    /// Whether to ask: while analytics is away, only if nobody has for a while.
    fn may_ask(&self) -> bool {
        let until_ms = self.away_until_ms.load(Ordering::Relaxed);
        if until_ms == HERE {
            return true;
        }
        let next_ms = self.after_ms(AWAY);
        let is_over = until_ms <= self.after_ms(Duration::ZERO);
        is_over && self.away_until_ms.compare_exchange(until_ms, next_ms, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// When so much time will have passed.
    fn after_ms(&self, time: Duration) -> i64 {
        (self.made.elapsed() + time).as_millis() as i64
    }

    fn answered(&self) {
        if self.away_until_ms.load(Ordering::Relaxed) != HERE
            && self.away_until_ms.swap(HERE, Ordering::Relaxed) != HERE
        {
            tracing::info!("links are answered with their clicks again");
        }
    }

    fn failed(&self, error: &dyn std::fmt::Display) {
        if self.away_until_ms.swap(self.after_ms(AWAY), Ordering::Relaxed) == HERE {
            tracing::warn!(%error, "links are answered without their clicks");
        }
    }
}

#[cfg(test)]
mod tests;
