//! Trying again, for ever, where that can help: with growing pauses, and one line in the log when trouble begins and one when it is over.

use std::{fmt::Display, time::Duration};

use metrics::counter;
use tokio::time::{Instant, sleep};

use crate::rollups::RollupsError;

/// The first pause; each one doubles, up to the longest.
const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// A step that may be failing just now.
pub(super) struct Trouble {
    step: &'static str,
    since: Option<Instant>,
    pause: Duration,
}

impl Trouble {
    pub(super) fn new(step: &'static str) -> Trouble {
        Trouble { step, since: None, pause: PAUSE_MIN }
    }

    /// An attempt failed. Returns how long to pause before the next.
    pub(super) fn met(&mut self, error: &impl Display) -> Duration {
        counter!("septet_consumer_failures_total", "step" => self.step).increment(1);
        if self.since.is_none() {
            tracing::warn!(step = self.step, %error, "clicks cannot be counted at the moment; trying on");
            self.since = Some(Instant::now());
        }
        let pause = self.pause;
        self.pause = (pause * 2).min(PAUSE_MAX);
        pause
    }

    /// An attempt succeeded.
    pub(super) fn over(&mut self) {
        if let Some(since) = self.since.take() {
            tracing::info!(step = self.step, after_ms = since.elapsed().as_millis() as u64, "clicks are counted again");
            self.pause = PAUSE_MIN;
        }
    }
}

/// Attempts until it is done, or until no attempt can help.
pub(super) async fn until_done<T, F>(step: &'static str, mut attempt: impl FnMut() -> F) -> Result<T, RollupsError>
where
    F: Future<Output = Result<T, RollupsError>>,
{
    let mut trouble = Trouble::new(step);
    loop {
        match attempt().await {
            Ok(done) => {
                trouble.over();
                return Ok(done);
            }
            Err(error @ RollupsError::Unreadable(_)) => return Err(error),
            Err(error) => sleep(trouble.met(&error)).await,
        }
    }
}
