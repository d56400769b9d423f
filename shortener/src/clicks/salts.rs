//! The visitor salts of an instance over its life: thrown away when their time is over and, where instances share their links, agreed on with
//! the others, so that a person is one visitor at however many of them.
//!
//! Clicks wait for an agreement at the start alone, and not for long. Otherwise, what begins without one goes on with a salt of this instance's
//! own: that is logged and counted, and fails nothing.

use std::{collections::BTreeMap, convert::Infallible, fmt::Display, sync::Arc, time::Duration};

use analytics::enrich::{
    Enricher,
    salts::Salts,
    visitor::{Salt, period},
};
use parking_lot::Mutex;
use tokio::time::{sleep, timeout};

use crate::{backoff::Backoff, clock, metrics, store::VisitorSalts};

/// How often it is looked whether a salt's time is over, and whether there is one for the next period.
const INTERVAL: Duration = Duration::from_secs(10 * 60);
/// A store that does not answer is asked again after this long, and then less and less often.
const ASK_AGAIN_MIN: Duration = Duration::from_secs(1);
/// The longest until it is asked again.
const ASK_AGAIN_MAX: Duration = Duration::from_secs(60);
/// How long a start waits for the store.
const START_LIMIT: Duration = Duration::from_secs(3);

/// See the module.
pub struct SaltUpkeep {
    enricher: Arc<Mutex<Enricher>>,
    /// `None`: there are no other instances.
    shared: Option<Arc<dyn VisitorSalts>>,
    /// Of the current period and the next one, as far as they are known.
    standings: BTreeMap<u32, Standing>,
    backoff: Backoff,
    /// Until the next round.
    pause: Duration,
}

/// What is known of a period's salt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// It is that of all instances.
    Agreed,
    /// It is this instance's own, or will be if a click comes before there is an agreement.
    Private,
}

impl SaltUpkeep {
    pub fn new(enricher: Arc<Mutex<Enricher>>, shared: Option<Arc<dyn VisitorSalts>>) -> Self {
        SaltUpkeep {
            enricher,
            shared,
            standings: BTreeMap::new(),
            backoff: Backoff::new(ASK_AGAIN_MIN, ASK_AGAIN_MAX),
            pause: Duration::ZERO,
        }
    }

    /// The first round, to be waited for before clicks are enriched. It takes [`START_LIMIT`] at most: what is late then, the next round
    /// finds out about.
    pub async fn begin(&mut self) {
        if let Ok(pause) = timeout(START_LIMIT, self.round(clock::now_ms())).await {
            self.pause = pause;
        }
    }

    /// All further rounds. May be dropped at any time, and called again.
    pub async fn keep(&mut self) -> Infallible {
        loop {
            sleep(self.pause).await;
            self.pause = self.round(clock::now_ms()).await;
        }
    }

    /// Does what is to be done at `now_ms` (Unix milliseconds): how long it may be until the next time.
    async fn round(&mut self, now_ms: i64) -> Duration {
        if let Err(error) = self.with_salts(move |salts| salts.expire(now_ms)).await {
            tracing::error!(%error, "visitor salts could not be thrown away");
        }
        if self.agree(now_ms).await {
            self.backoff.reset();
            INTERVAL
        } else {
            self.backoff.pause()
        }
    }

    /// Asks for the salts of the current period and the next one. Whether both were answered.
    async fn agree(&mut self, now_ms: i64) -> bool {
        let Some(shared) = &self.shared else { return true };
        let current = period(now_ms);
        let next = current.saturating_add(1);
        let (of_current, of_next) = tokio::join!(self.ask(shared, current), self.ask(shared, next));
        let is_answered = of_current.is_ok() && of_next.is_ok();
        self.standings.retain(|period, _| (current..=next).contains(period));
        match of_current {
            Ok(is_ours) => self.answered(current, is_ours),
            Err(error) => self.unanswered(current, &error),
        }
        // There is time enough to ask again for the one that has not begun.
        if let Ok(is_ours) = of_next {
            self.answered(next, is_ours);
        }
        is_answered
    }

    /// Asks for one salt. Whether visitors of that period are hashed with it here, from now on or already.
    async fn ask(&self, shared: &Arc<dyn VisitorSalts>, period: u32) -> anyhow::Result<bool> {
        // One that is in use here may become that of all.
        let fresh: Salt = self.with_salts(move |salts| salts.held(period)).await?.unwrap_or_else(rand::random);
        let salt = shared.visitor_salt(period, fresh).await?;
        self.with_salts(move |salts| salts.share(period, salt)).await
    }

    fn answered(&mut self, period: u32, is_ours: bool) {
        if !is_ours {
            self.stay_private(period, &"another was in use here before");
        } else if self.standings.insert(period, Standing::Agreed) == Some(Standing::Private) {
            tracing::info!("visitors are told apart as at the other instances again");
        }
    }

    fn unanswered(&mut self, period: u32, error: &anyhow::Error) {
        if !self.standings.contains_key(&period) {
            self.stay_private(period, error);
        }
    }

    /// Says so once for each period.
    fn stay_private(&mut self, period: u32, why: &dyn Display) {
        if self.standings.insert(period, Standing::Private) != Some(Standing::Private) {
            tracing::warn!(
                %why,
                "this instance has no visitor salt in common with the others: until its own has had its two days, visitors who come to \
                 several instances count more than once"
            );
            metrics::visitor_salt_private();
        }
    }

    /// On a thread that may wait: changes are written to a file, and clicks are enriched meanwhile.
    async fn with_salts<T: Send + 'static>(
        &self,
        act: impl FnOnce(&mut dyn Salts) -> T + Send + 'static,
    ) -> anyhow::Result<T> {
        let enricher = Arc::clone(&self.enricher);
        Ok(tokio::task::spawn_blocking(move || act(enricher.lock().salts())).await?)
    }
}

#[cfg(test)]
mod tests;
