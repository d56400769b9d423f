//! The link store that the settings name.

use std::{path::Path, sync::Arc, time::Duration};

use analytics::cql::{self, CqlOptions, CqlUrl, Durability};
use tokio::time::{Instant, sleep};

use super::LINKS;
use crate::{
    backoff::Backoff,
    outage::Outage,
    settings::{LinksSettings, LinksUrl},
    store::{
        Store, VisitorSalts, guard,
        scylla::{self, OpenError, ScyllaStore},
        sqlite::SqliteStore,
    },
};

/// A start asks a cluster again after this long, and then less and less often.
const ASK_AGAIN_MIN: Duration = Duration::from_millis(200);
/// The longest it waits before it asks again.
const ASK_AGAIN_MAX: Duration = Duration::from_secs(5);

/// A link store that is open.
pub struct Opened {
    pub store: Arc<dyn Store>,
    /// Where instances that share the store agree on their visitors' salts; `None` where there is one instance.
    pub visitor_salts: Option<Arc<dyn VisitorSalts>>,
}

/// Opens the link store; one across a network stands behind guards.
///
/// # Errors
/// A sentence for a person. A cluster that does not answer is no error: it is waited for; drop the call to give up.
pub async fn open(settings: &LinksSettings, data_dir: &Path) -> anyhow::Result<Opened> {
    match &settings.url {
        LinksUrl::Sqlite(url) => {
            let store = SqliteStore::open(&url.path(data_dir, LINKS)).await?;
            Ok(Opened { store: Arc::new(store), visitor_salts: None })
        }
        LinksUrl::Scylla(url) => {
            let store = first_answer(&settings.cql(url)?).await?;
            let store = Arc::new(guard::around(store, &settings.guard()));
            Ok(Opened { store: store.clone(), visitor_salts: Some(store) })
        }
    }
}

/// Prepares the link store, and says what was done.
pub async fn migrate(settings: &LinksSettings, data_dir: &Path) -> anyhow::Result<()> {
    match &settings.url {
        LinksUrl::Sqlite(_) => open(settings, data_dir).await?.store.close().await,
        LinksUrl::Scylla(url) => migrate_keyspace(settings, url).await?,
    }
    Ok(())
}

async fn migrate_keyspace(settings: &LinksSettings, url: &CqlUrl) -> anyhow::Result<()> {
    let options = settings.cql(url)?;
    println!("{}", scylla::migrate(&options, settings.replication_factor).await?);
    println!("{}", cql::durability(ScyllaStore::open(&options).await?.cql()).await?);
    Ok(())
}

/// The store in a cluster, asked for until it answers.
async fn first_answer(options: &CqlOptions) -> anyhow::Result<ScyllaStore> {
    let mut backoff = Backoff::new(ASK_AGAIN_MIN, ASK_AGAIN_MAX);
    let mut outage = Outage::default();
    loop {
        match opened(options).await {
            Ok((store, durability)) => {
                if let Some(over) = outage.answered(Instant::now()) {
                    tracing::info!(waited_ms = over.lasted.as_millis() as u64, "the link store answers");
                }
                durability.announce();
                cql::show(store.session());
                return Ok(store);
            }
            Err(error) if error.is_transient() => {
                if let Some(attempts) = outage.failed(Instant::now()) {
                    tracing::warn!(%error, attempts, "the link store does not answer; the start waits for it");
                }
                sleep(backoff.pause()).await;
            }
            Err(error) => return Err(error.into()),
        }
    }
}

async fn opened(options: &CqlOptions) -> Result<(ScyllaStore, Durability), OpenError> {
    let store = ScyllaStore::open(options).await?;
    let durability = cql::durability(store.cql()).await?;
    Ok((store, durability))
}
