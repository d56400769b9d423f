//! Waits for the database at the start, and looks at what became of every block from then on.

use std::{convert::Infallible, sync::Arc, time::Duration};

use tokio::time::sleep;

use super::{
    carrier::Carrier,
    database::{self, OpenError},
    metrics,
    ops::Readiness,
    settings::Settings,
};
use crate::{LeaseError, LeaseRecords, LeaseStore};

/// How long after a first failure the database is tried again, and at most after a later one: twice as long each time.
const RETRY_WAIT_MIN: Duration = Duration::from_millis(250);
const RETRY_WAIT_MAX: Duration = Duration::from_secs(5);

/// How often the account is read for the metrics. A scrape reads nothing.
const ACCOUNT_INTERVAL: Duration = Duration::from_secs(10);

/// Tries once to open the database.
pub async fn open(settings: &Settings, carrier: &Carrier) -> Result<(), OpenError> {
    hand_over(database::open(settings).await?, carrier).await
}

/// Gives the carrier a store that answers.
async fn hand_over(store: Arc<dyn LeaseStore>, carrier: &Carrier) -> Result<(), OpenError> {
    match carrier.set_store(Arc::clone(&store)).await {
        Ok(()) => Ok(()),
        Err(error) => {
            store.close().await;
            Err(match error {
                LeaseError::Unavailable(_) | LeaseError::Overloaded => OpenError::NoAnswer(error.into()),
                _ => OpenError::Refused(error.into()),
            })
        }
    }
}

/// Opens the database as soon as it answers, which makes the service ready; then keeps the account's metrics fresh. Ends only
/// with a database that must not be used, or is not what it was.
pub async fn watch(settings: &Settings, carrier: &Carrier, readiness: &Readiness) -> anyhow::Result<Infallible> {
    if !carrier.has_store() {
        wait_until_open(async || open(settings, carrier).await).await?;
    }
    readiness.start();
    loop {
        show_account(carrier).await;
        confirm_id_space(carrier).await?;
        sleep(ACCOUNT_INTERVAL).await;
    }
}

/// Another id space was moved into the database: what is served, with the key of the one before, must not go on.
async fn confirm_id_space(carrier: &Carrier) -> anyhow::Result<()> {
    match carrier.confirm_id_space().await {
        Err(LeaseError::WrongIdSpace { ours, theirs }) => anyhow::bail!(
            "the database was of the id space {ours} when this started, and is of {theirs} now, which was moved there: start again"
        ),
        // One that does not answer is spoken of with the account.
        _ => Ok(()),
    }
}

async fn wait_until_open(open: impl AsyncFn() -> Result<(), OpenError>) -> anyhow::Result<()> {
    let mut wait = RETRY_WAIT_MIN;
    loop {
        match open().await {
            Ok(()) => break,
            Err(OpenError::Refused(why)) => return Err(why),
            Err(error @ OpenError::NoAnswer(_)) => {
                tracing::warn!(%error, again_in_ms = wait.as_millis() as u64, "waiting for the database");
                sleep(wait).await;
                wait = (wait * 2).min(RETRY_WAIT_MAX);
            }
        }
    }
    tracing::info!("the database answers");
    Ok(())
}

async fn show_account(carrier: &Carrier) {
    match carrier.account().await {
        Ok(account) => {
            metrics::database_up(true);
            metrics::account(&account);
            if !account.is_balanced() {
                tracing::error!(?account, "the record does not account for every block that was handed out");
            }
        }
        Err(error) => {
            metrics::database_up(false);
            tracing::warn!(%error, "the account of the blocks could not be read");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use anyhow::anyhow;
    use tokio::{runtime::Handle, time::Instant};

    use super::*;
    use crate::{Leases, service::failing_store::FailingStore};

    /// Seen to fail when the first failure was the last try, and when the wait grew without bound.
    #[tokio::test(start_paused = true)]
    async fn a_database_that_is_down_is_tried_again_until_it_answers() {
        let (started, tries) = (Instant::now(), Cell::new(0));
        let open = async || {
            tries.set(tries.get() + 1);
            if started.elapsed() > Duration::from_secs(3600) {
                Ok(())
            } else {
                Err(OpenError::NoAnswer(anyhow!("down")))
            }
        };
        wait_until_open(open).await.unwrap();
        assert!(started.elapsed() < Duration::from_secs(3600) + RETRY_WAIT_MAX * 2);
        assert!((700..800).contains(&tries.get()), "{} tries", tries.get());
    }

    /// Seen to fail when every failure was taken for a database that is down.
    #[tokio::test]
    async fn a_database_that_must_not_be_used_ends_it() {
        let open = async || Err(OpenError::Refused(anyhow!("of a newer schema")));
        assert_eq!(wait_until_open(open).await.unwrap_err().to_string(), "of a newer schema");
    }

    /// Seen to fail when a store was handed over that had not answered.
    #[tokio::test]
    async fn a_store_that_does_not_answer_is_not_handed_over() {
        let carrier = Carrier::new(Handle::current());
        let down = Arc::new(FailingStore(|| LeaseError::Unavailable("down".into())));
        assert!(matches!(hand_over(down, &carrier).await, Err(OpenError::NoAnswer(_))));
        assert!(!carrier.has_store());
        assert!(matches!(carrier.id_space().await, Err(LeaseError::Unavailable(_))));
    }
}
