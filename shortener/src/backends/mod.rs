//! Everything that keeps something: chosen by the settings' URLs, here and nowhere else.

use std::{path::Path, sync::Arc};

use analytics::rollups::{Rollups, sqlite::SqliteRollups};
use token_service::{
    Fingerprint, IdSpace, Leases,
    client::{ClientOptions, HttpLeases},
    sqlite::{SqliteLeases, SqliteOptions},
};

use crate::{
    code::Codec,
    counting::CountingRuntime,
    id_space,
    settings::{LeasesUrl, Settings},
    store::Store,
};

mod links;
pub mod topics;

/// The embedded databases' names in the data directory.
pub const LINKS: &str = "links.db";
const LEASES: &str = "leases.db";
const ANALYTICS: &str = "analytics.db";

/// The stores of an instance, all of one id space.
pub struct Backends {
    pub leases: Arc<dyn Leases>,
    pub store: Arc<dyn Store>,
    pub rollups: Arc<dyn Rollups>,
    pub codec: Arc<Codec>,
}

impl Backends {
    /// Opens what the settings name. Dropped half-way, it leaves nothing half done.
    pub async fn open(settings: &Settings, data_dir: &Path, counting: &CountingRuntime) -> anyhow::Result<Self> {
        let store = links::open(&settings.links, data_dir).await?;
        let pinned = store.id_space().await?.as_ref().map(IdSpace::fingerprint);
        let leases = open_leases(settings, data_dir, pinned).await?;
        let id_space = id_space::settle(&*store, &*leases).await?;
        // On the counting runtime, so that the thread which writes is one of it.
        let analytics = settings.analytics.path(data_dir, ANALYTICS);
        let rollups = counting.handle().spawn(async move { SqliteRollups::open(&analytics).await }).await??;
        let codec = Arc::new(Codec::new(&id_space));
        Ok(Backends { leases, store, rollups: Arc::new(rollups), codec })
    }

    /// Ends what was begun, so that each store is whole without its log.
    pub async fn close(&self) -> anyhow::Result<()> {
        self.leases.close().await;
        self.store.close().await;
        self.rollups.close().await;
        Ok(())
    }
}

/// Prepares what the settings name, and says so for each of it.
pub async fn migrate(settings: &Settings, data_dir: &Path) -> anyhow::Result<()> {
    links::migrate(&settings.links, data_dir).await?;
    topics::migrate(settings).await?;
    if let LeasesUrl::Sqlite(_) = &settings.leases {
        open_leases(settings, data_dir, None).await?.close().await;
    }
    SqliteRollups::open(&settings.analytics.path(data_dir, ANALYTICS)).await?.close().await;
    Ok(())
}

async fn open_leases(
    settings: &Settings,
    data_dir: &Path,
    fingerprint: Option<Fingerprint>,
) -> anyhow::Result<Arc<dyn Leases>> {
    Ok(match &settings.leases {
        LeasesUrl::Sqlite(url) => {
            Arc::new(SqliteLeases::open(url.path(data_dir, LEASES), SqliteOptions::default()).await?)
        }
        LeasesUrl::TokenService(urls) => {
            let secret = settings.token_service_secret()?;
            Arc::new(HttpLeases::new(ClientOptions { secret, fingerprint, ..ClientOptions::new(urls.clone()) })?)
        }
    })
}
