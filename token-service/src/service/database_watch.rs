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
use crate::{LeaseError, LeaseRecords};

/// How long after a first failure the database is tried again, and at most after a later one: twice as long each time.
const RETRY_WAIT_MIN: Duration = Duration::from_millis(250);
const RETRY_WAIT_MAX: Duration = Duration::from_secs(5);

/// How often the account is read for the metrics. A scrape reads nothing.
const ACCOUNT_INTERVAL: Duration = Duration::from_secs(10);

/// Tries once to open the database.
pub async fn open(settings: &Settings, carrier: &Carrier) -> Result<(), OpenError> {
    let store = database::open(settings).await?;
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
/// with a database that must not be used.
pub async fn watch(settings: &Settings, carrier: &Carrier, readiness: &Readiness) -> anyhow::Result<Infallible> {
    wait_until_open(settings, carrier).await?;
    readiness.start();
    loop {
        show_account(carrier).await;
        sleep(ACCOUNT_INTERVAL).await;
    }
}

async fn wait_until_open(settings: &Settings, carrier: &Carrier) -> anyhow::Result<()> {
    let mut wait = RETRY_WAIT_MIN;
    while !carrier.has_store() {
        match open(settings, carrier).await {
            Ok(()) => tracing::info!("the database answers"),
            Err(OpenError::Refused(why)) => return Err(why),
            Err(error @ OpenError::NoAnswer(_)) => {
                tracing::warn!(%error, again_in_ms = wait.as_millis() as u64, "waiting for the database");
                sleep(wait).await;
                wait = (wait * 2).min(RETRY_WAIT_MAX);
            }
        }
    }
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
