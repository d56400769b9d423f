//! Trying again, for ever, where that can help.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::{
    rollups::RollupsError,
    trouble::{Trouble, Work},
};

/// How long a refusal must last to be believed: a node that has just started may not know the tables yet, or the rights.
const REFUSED_FOR: Duration = Duration::from_secs(60);

/// Attempts until it is done, or until no attempt can help.
pub(super) async fn until_done<T, F>(step: &'static str, mut attempt: impl FnMut() -> F) -> Result<T, RollupsError>
where
    F: Future<Output = Result<T, RollupsError>>,
{
    let mut trouble = Trouble::new(Work::Counting, step);
    let mut refused_since = None;
    loop {
        let error = match attempt().await {
            Ok(done) => {
                trouble.over();
                return Ok(done);
            }
            Err(error) => error,
        };
        match error {
            RollupsError::Unreadable(_) => return Err(error),
            RollupsError::Refused(_) => {
                if refused_since.get_or_insert_with(Instant::now).elapsed() >= REFUSED_FOR {
                    return Err(error);
                }
            }
            RollupsError::Unavailable(_) => refused_since = None,
        }
        sleep(trouble.met(&error)).await;
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    fn refused() -> RollupsError {
        RollupsError::Refused("no rights".into())
    }

    /// Seen to fail when a refusal was met by trying again for ever, and when the first one was believed.
    #[tokio::test(start_paused = true)]
    async fn a_refusal_that_lasts_ends_it_and_another_does_not() {
        let began = Instant::now();
        let error = until_done("test", async || Err::<(), _>(refused())).await.unwrap_err();
        assert!(matches!(error, RollupsError::Refused(_)), "{error}");
        assert!((REFUSED_FOR..REFUSED_FOR * 2).contains(&began.elapsed()), "{:?}", began.elapsed());

        let attempts = Cell::new(0);
        let refused_at_first = async || match attempts.replace(attempts.get() + 1) {
            0..5 => Err(refused()),
            _ => Ok(()),
        };
        until_done("test", refused_at_first).await.unwrap();
        assert_eq!(attempts.get(), 6);
    }

    /// Seen to fail when what came between two refusals was passed over.
    #[tokio::test(start_paused = true)]
    async fn refusals_between_outages_do_not_end_it() {
        let began = Instant::now();
        let attempts = Cell::new(0);
        let in_turns = async || match attempts.replace(attempts.get() + 1) {
            _ if began.elapsed() > REFUSED_FOR * 3 => Ok(()),
            number if number % 2 == 0 => Err(refused()),
            _ => Err(RollupsError::Unavailable("no answer".into())),
        };
        until_done("test", in_turns).await.unwrap();
    }
}
