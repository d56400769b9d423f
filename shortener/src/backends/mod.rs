//! Everything that keeps something: chosen by the settings' URLs, here and nowhere else.

use std::{path::Path, sync::Arc};

use analytics::{
    client::HttpQueries,
    engine::Engine,
    query::Queries,
    rollups::{Rollups, sqlite::SqliteRollups},
};
use anyhow::Context;
use token_service::{
    Fingerprint, IdSpace, Leases,
    client::{ClientOptions, HttpLeases},
    sqlite::{SqliteLeases, SqliteOptions},
};
use tokio::runtime::Handle;

use crate::{
    code::Codec,
    counting::CountingRuntime,
    id_space,
    queries::OnRuntime,
    settings::{AnalyticsSettings, AnalyticsUrl, LeasesUrl, LinksUrl, Settings},
    store::{Store, VisitorSalts},
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
    /// Where instances agree on their visitors' salts, if there are several.
    pub visitor_salts: Option<Arc<dyn VisitorSalts>>,
    /// Where this process counts, if it does.
    pub rollups: Option<Arc<dyn Rollups>>,
    pub queries: Arc<dyn Queries>,
    pub codec: Arc<Codec>,
}

impl Backends {
    /// Opens what the settings name. Dropped half-way, it leaves nothing half done.
    pub async fn open(settings: &Settings, data_dir: &Path, counting: &CountingRuntime) -> anyhow::Result<Self> {
        let links::Opened { store, visitor_salts } = links::open(&settings.links, data_dir).await?;
        let pinned = store.id_space().await?.as_ref().map(IdSpace::fingerprint);
        let leases = open_leases(settings, data_dir, pinned).await?;
        let id_space = id_space::settle(&*store, &*leases).await?;
        if let (LinksUrl::Scylla(_), LeasesUrl::Sqlite(_)) = (&settings.links.url, &settings.leases) {
            tracing::warn!(
                "ids are leased from a file of this instance: no other one can make links in this keyspace; --leases http://... names a token \
                 service"
            );
        }
        let (rollups, queries) = open_analytics(&settings.analytics, data_dir, counting).await?;
        let codec = Arc::new(Codec::new(&id_space));
        Ok(Backends { leases, store, visitor_salts, rollups, queries, codec })
    }

    /// Ends what was begun, so that each store is whole without its log.
    pub async fn close(&self) -> anyhow::Result<()> {
        self.leases.close().await;
        self.store.close().await;
        if let Some(rollups) = &self.rollups {
            rollups.close().await;
        }
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
    if let AnalyticsUrl::Sqlite(url) = &settings.analytics.url {
        SqliteRollups::open(&url.path(data_dir, ANALYTICS)).await?.close().await;
    }
    Ok(())
}

/// Where clicks are counted, if it is here, and who answers questions about them.
async fn open_analytics(
    settings: &AnalyticsSettings,
    data_dir: &Path,
    counting: &CountingRuntime,
) -> anyhow::Result<(Option<Arc<dyn Rollups>>, Arc<dyn Queries>)> {
    match &settings.url {
        AnalyticsUrl::Sqlite(url) => {
            let file = url.path(data_dir, ANALYTICS);
            // On the counting runtime, so that the thread which writes is one of it.
            let rollups = counting.handle().spawn(async move { SqliteRollups::open(&file).await }).await??;
            let rollups: Arc<dyn Rollups> = Arc::new(rollups);
            let engine = Arc::new(Engine::new(Arc::clone(&rollups)));
            Ok((Some(rollups), Arc::new(OnRuntime { queries: engine, runtime: Handle::current() })))
        }
        AnalyticsUrl::Service(_) => {
            let options = settings.service()?.context("there are URLs of analytics services")?;
            Ok((None, Arc::new(HttpQueries::new(options)?)))
        }
    }
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
