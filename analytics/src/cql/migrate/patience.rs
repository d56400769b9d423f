//! Steps of a migration that get no answer are taken again: each bears it, and a cluster in which many migrate at once, or whose nodes have
//! just met, is slow to agree.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::cql::SchemaError;

/// For so long a step that gets no answer is taken again.
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(500);

/// Takes a step until it is answered, or for [`PATIENCE`].
///
/// # Errors
/// The last one of the step; at once where trying again cannot help.
pub async fn patiently<T, F>(step: impl Fn() -> F) -> Result<T, SchemaError>
where
    F: Future<Output = Result<T, SchemaError>>,
{
    let began = Instant::now();
    loop {
        match step().await {
            Err(error) if is_silence(&error) && began.elapsed() < PATIENCE => {
                tracing::info!(%error, "a step of the migration got no answer; trying it again");
                sleep(PAUSE).await;
            }
            ended => return ended,
        }
    }
}

/// Whether nobody knows what became of it.
fn is_silence(error: &SchemaError) -> bool {
    match error {
        SchemaError::Cql(error) => error.is_transient(),
        SchemaError::NoAgreement(_) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::cql::CqlError;

    /// A step that gets no answer so many times.
    async fn unanswered(times: u32) -> (Result<u32, SchemaError>, u32) {
        let taken = Cell::new(0);
        let ended = patiently(async || {
            taken.set(taken.get() + 1);
            let silence = CqlError::Unreachable { url: "nowhere".to_owned(), why: "told to".to_owned() };
            if taken.get() <= times { Err(silence.into()) } else { Ok(7) }
        });
        (ended.await, taken.get())
    }

    /// Seen to fail when it was taken once, and when it was taken for ever.
    #[tokio::test(start_paused = true)]
    async fn what_gets_no_answer_is_tried_again_for_a_while() {
        let (ended, taken) = unanswered(3).await;
        assert_eq!((ended.unwrap(), taken), (7, 4));
        let (ended, taken) = unanswered(u32::MAX).await;
        assert!(ended.is_err() && taken == 121, "{taken}");
    }

    /// Seen to fail when a lost lock was tried again.
    #[tokio::test(start_paused = true)]
    async fn what_cannot_be_helped_ends_it_at_once() {
        let taken = Cell::new(0);
        let lost = patiently(async || {
            taken.set(taken.get() + 1);
            Err::<(), _>(SchemaError::LockLost { keyspace: "k".to_owned() })
        });
        assert!(lost.await.is_err());
        assert_eq!(taken.get(), 1);
    }
}
