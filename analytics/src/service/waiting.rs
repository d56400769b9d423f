//! Waiting for what the service needs and does not have yet.

use std::time::Duration;

use tokio::time::{Instant, sleep};

/// How long after a first failure it is tried again, and at most after a later one: twice as long each time.
const PAUSE_MIN: Duration = Duration::from_millis(250);
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// Why something is not there.
#[derive(Debug)]
pub enum NotThere {
    /// It does not answer: it may be different later.
    Yet(anyhow::Error),
    /// It must not be used, or cannot be as the settings are. A sentence for a person says why.
    Ever(anyhow::Error),
}

/// Tries until it is there, or will never be. The first failure is told, and that it is over.
pub async fn until_there<T, F>(what: &'static str, attempt: impl Fn() -> F) -> anyhow::Result<T>
where
    F: Future<Output = Result<T, NotThere>>,
{
    let (mut since, mut pause) = (None, PAUSE_MIN);
    loop {
        match attempt().await {
            Ok(there) => {
                if let Some(since) = since.map(|since: Instant| since.elapsed()) {
                    tracing::info!(what, after_ms = since.as_millis() as u64, "it answers");
                }
                return Ok(there);
            }
            Err(NotThere::Ever(why)) => return Err(why),
            Err(NotThere::Yet(error)) => {
                if since.is_none() {
                    tracing::warn!(what, error = super::sentence::of(&error), "it does not answer; waiting for it");
                }
                since.get_or_insert_with(Instant::now);
                sleep(pause).await;
                pause = (pause * 2).min(PAUSE_MAX);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use anyhow::anyhow;

    use super::*;

    /// Seen to fail when the first failure was the last try, and when the pause grew without bound.
    #[tokio::test(start_paused = true)]
    async fn what_is_away_is_tried_again_until_it_answers() {
        let (started, tries) = (Instant::now(), Cell::new(0));
        let hour = Duration::from_secs(3600);
        let attempt = || async {
            tries.set(tries.get() + 1);
            if started.elapsed() > hour { Ok(()) } else { Err(NotThere::Yet(anyhow!("down"))) }
        };
        until_there("it", attempt).await.unwrap();
        assert!(started.elapsed() < hour + PAUSE_MAX * 2);
        assert!((700..800).contains(&tries.get()), "{} tries", tries.get());
    }

    /// Seen to fail when every failure was taken for something that is away.
    #[tokio::test]
    async fn what_must_not_be_used_ends_it() {
        let attempt = || async { Err::<(), _>(NotThere::Ever(anyhow!("of a newer schema"))) };
        assert_eq!(until_there("it", attempt).await.unwrap_err().to_string(), "of a newer schema");
    }
}
