//! Attempts at one statement, so that one that fails does not repeat all the others of a commit, of which there may be many thousands.
//!
//! A statement may be repeated: a row's values are absolute, and its timestamp is its own.

use std::time::Duration;

use metrics::{Counter, counter, describe_counter};
use tokio::time::sleep;

use crate::rollups::RollupsError;

/// Attempts at one statement; what fails as often fails what it is part of.
pub const ATTEMPTS_MAX: u32 = 6;

/// The pause after the first attempt; each one doubles. Together they are longer than a node's usual pauses.
const PAUSE_MIN: Duration = Duration::from_millis(50);

const REPEATED: &str = "septet_rollups_statements_repeated_total";

/// Counts what is attempted again.
pub(super) struct Attempts {
    repeated: Counter,
}

impl Attempts {
    pub fn new() -> Self {
        describe_counter!(REPEATED, "Statements for counting that failed, and were attempted again.");
        Attempts { repeated: counter!(REPEATED) }
    }

    /// Attempts `statement` until it is done, as often as may be, if trying again may help.
    ///
    /// # Errors
    /// Those of the last attempt.
    pub async fn at<T, F>(&self, statement: impl Fn() -> F) -> Result<T, RollupsError>
    where
        F: Future<Output = Result<T, RollupsError>>,
    {
        let mut pause = PAUSE_MIN;
        for _ in 1..ATTEMPTS_MAX {
            match statement().await {
                Err(RollupsError::Unavailable(_)) => {}
                outcome => return outcome,
            }
            self.repeated.increment(1);
            sleep(pause).await;
            pause *= 2;
        }
        statement().await
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use metrics_exporter_prometheus::PrometheusBuilder;

    use super::*;

    fn unavailable() -> RollupsError {
        RollupsError::unavailable("no answer")
    }

    /// Seen to fail when there was one attempt less, and one more.
    #[tokio::test(start_paused = true)]
    async fn what_may_help_is_attempted_so_often_and_counted() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let _guard = metrics::set_default_local_recorder(&recorder);
        let (attempts, made) = (Attempts::new(), Cell::new(0));
        for (failing, outcome) in [(0, true), (1, true), (ATTEMPTS_MAX - 1, true), (ATTEMPTS_MAX, false)] {
            made.set(0);
            let statement = async || match made.replace(made.get() + 1) {
                number if number < failing => Err(unavailable()),
                _ => Ok(()),
            };
            assert_eq!(attempts.at(statement).await.is_ok(), outcome, "{failing} failures");
            assert_eq!(made.get(), ATTEMPTS_MAX.min(failing + 1), "{failing} failures");
        }
        let rendered = recorder.handle().render();
        let repeated = format!("{REPEATED} {}", 1 + 2 * (ATTEMPTS_MAX - 1));
        assert!(rendered.lines().any(|line| line == repeated), "{repeated} in {rendered}");
    }

    /// Seen to fail when every error was attempted again.
    #[tokio::test(start_paused = true)]
    async fn what_cannot_help_is_attempted_once() {
        let refused = || RollupsError::Refused("no rights".into());
        let unreadable = || RollupsError::Unreadable("damaged".into());
        for error in [&refused as &dyn Fn() -> RollupsError, &unreadable] {
            let made = Cell::new(0);
            let statement = async || {
                made.set(made.get() + 1);
                Err::<(), _>(error())
            };
            assert!(Attempts::new().at(statement).await.is_err());
            assert_eq!(made.get(), 1);
        }
    }
}
