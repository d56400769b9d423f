//! The application: built from its settings, run until it is stopped, drained in order.

use std::{
    net::{SocketAddr, TcpListener},
    sync::Arc,
};

use actix_server::{Server, ServerHandle};
use actix_web::web;
use analytics::{
    engine::Engine,
    query::Queries,
    rollups::{Rollups, sqlite::SqliteRollups},
};
use anyhow::Context;
use metrics_exporter_prometheus::PrometheusHandle;
use token_service::{
    Leases,
    sqlite::{SqliteLeases, SqliteOptions},
};
use tokio::{
    runtime::Handle,
    signal::unix::{SignalKind, signal},
    task::JoinHandle,
    time::{Duration, sleep},
};

use crate::{
    allocator::{self, Allocator},
    api::{Api, RootTarget, auth::Authenticator},
    api_key,
    clicks::Clicks,
    code::Codec,
    counting::CountingRuntime,
    data_dir::DataDir,
    drain::Drain,
    greeting, metrics,
    ops::{self, Ops, Readiness},
    queries::OnRuntime,
    redirect::{
        cache::{Cache, CacheSettings},
        front::ClickHeaders,
    },
    server::{self, Shared},
    settings::{ClicksUrl, Settings},
    shortener::Shortener,
    store::{Claims, Pinned, Store, sqlite::SqliteStore},
};

/// The embedded databases' names in the data directory.
const LINKS: &str = "links.db";
const LEASES: &str = "leases.db";
const ANALYTICS: &str = "analytics.db";

/// Everything that keeps something: chosen by the settings' URLs, here and nowhere else.
struct Backends {
    leases: Arc<dyn Leases>,
    store: Arc<dyn Store>,
    rollups: Arc<dyn Rollups>,
    codec: Arc<Codec>,
}

impl Backends {
    async fn open(settings: &Settings, data_dir: &DataDir, counting: &CountingRuntime) -> anyhow::Result<Self> {
        let in_data_dir = |url: &crate::settings::SqliteUrl, name| url.path(data_dir.path(), name);
        let leases = SqliteLeases::open(in_data_dir(&settings.leases, LEASES), SqliteOptions::default()).await?;
        let id_space = leases.id_space().await?;
        let codec = Arc::new(Codec::new(&id_space));
        let store = SqliteStore::open(&in_data_dir(&settings.links, LINKS), Arc::clone(&codec)).await?;
        if let Pinned::Theirs(theirs) = store.pin_id_space(id_space.fingerprint()).await? {
            anyhow::bail!(
                "--links belongs to the id space {theirs}, --leases to {}: their codes would clash. \
                 Name the lease store that these links were made with.",
                id_space.fingerprint()
            );
        }
        // On the counting runtime, so that the thread which writes is one of it.
        let analytics = in_data_dir(&settings.analytics, ANALYTICS);
        let rollups = counting.handle().spawn(async move { SqliteRollups::open(&analytics).await }).await??;
        Ok(Backends { leases: Arc::new(leases), store: Arc::new(store), rollups: Arc::new(rollups), codec })
    }
}

impl Backends {
    /// Ends what was begun, so that each store is whole without its log.
    async fn close(&self) -> anyhow::Result<()> {
        self.leases.close().await;
        self.store.close().await;
        self.rollups.close().await;
        Ok(())
    }
}

/// A Septet that is about to serve.
pub struct Application {
    settings: Settings,
    data_dir: DataDir,
    backends: Backends,
    counting: CountingRuntime,
    allocator: Allocator,
    clicks: Option<Clicks>,
    readiness: Readiness,
    recorded: PrometheusHandle,
    server: Server,
    ops_server: Server,
}

impl Application {
    /// Prepares the stores that the settings name, and nothing else.
    pub async fn migrate(settings: Settings) -> anyhow::Result<()> {
        let data_dir = DataDir::open(&settings.data_dir)?;
        let backends = Backends::open(&settings, &data_dir, &CountingRuntime::start()?).await?;
        backends.close().await?;
        println!("{} is prepared", data_dir.path().display());
        Ok(())
    }

    /// Opens the stores, starts what runs in the background, and listens.
    pub async fn build(settings: Settings) -> anyhow::Result<Self> {
        let api_key = settings.api_key()?;
        let root = settings.root_target()?;
        let recorded = metrics::start().context("metrics cannot be recorded")?;
        let data_dir = DataDir::open(&settings.data_dir)?;
        let counting = CountingRuntime::start().context("threads cannot be started")?;
        let backends = Backends::open(&settings, &data_dir, &counting).await?;
        let listener = listen("--listen", settings.listen)?;
        let ops_listener = listen("--ops-listen", settings.ops_listen)?;
        let (listening, ops_listening) = (listener.local_addr()?, ops_listener.local_addr()?);

        let Backends { leases, store, rollups, codec } = &backends;
        let clicks = match settings.clicks {
            ClicksUrl::Local => {
                let counted = Arc::clone(rollups);
                Some(Clicks::start(&settings, data_dir.path(), counted, counting.handle()).await?)
            }
            ClicksUrl::None => None,
        };
        // After everything that can refuse to start: blocks are leased from here on.
        let claims: Arc<dyn Claims> = store.clone();
        let allocator = Allocator::start(Arc::clone(leases), claims, Arc::clone(codec), allocator::Options::default());

        let cache = CacheSettings {
            max_bytes: settings.cache_max_bytes,
            ttl: Duration::from_millis(settings.cache_ttl_ms),
            ..CacheSettings::default()
        };
        let cache = Cache::new(store.clone(), cache, Handle::current());
        let engine = Arc::new(Engine::new(Arc::clone(rollups)));
        let queries: Arc<dyn Queries> = Arc::new(OnRuntime { queries: engine, runtime: Handle::current() });
        let shortener =
            Shortener::new(Arc::clone(store), allocator.clone(), Arc::clone(&cache), settings.public_url.clone());
        let readiness = Readiness::default();
        let shared = Shared {
            readiness: readiness.clone(),
            api: web::Data::new(Api { shortener, queries, codec: Arc::clone(codec) }),
            authenticator: web::Data::new(Authenticator::new(Arc::clone(store))),
            root: web::Data::new(RootTarget(root)),
            cache: Arc::clone(&cache),
            clicks: clicks.as_ref().map(Clicks::logs),
            click_headers: ClickHeaders {
                forwarded_for: !settings.trusted_proxies.is_empty(),
                country: settings.country_header.clone(),
            },
        };
        let ops = Ops { readiness: readiness.clone(), metrics: recorded.clone(), cache };
        let server = server::server(listener, &settings, shared).context("--listen cannot be served")?;
        let ops_server = ops::server(ops_listener, ops).context("--ops-listen cannot be served")?;
        // Last, so that a key which is made is a key which is shown.
        let made_api_key = api_key::ensure(&**store, api_key.as_deref()).await?;
        tracing::info!(%listening, ops = %ops_listening, public_url = settings.public_url.as_str(), "Septet starts");
        let key = made_api_key.as_deref();
        if let Err(error) = greeting::write(std::io::stdout(), listening, ops_listening, &settings.public_url, key) {
            tracing::warn!(%error, "nobody could be greeted; if an API key was made, set another with --api-key");
        }
        Ok(Application {
            settings,
            data_dir,
            backends,
            counting,
            allocator,
            clicks,
            readiness,
            recorded,
            server,
            ops_server,
        })
    }

    /// Serves until SIGTERM or SIGINT, or until a part of it fails; then stops in order.
    pub async fn run_until_stopped(self) -> anyhow::Result<()> {
        let Application {
            settings,
            data_dir,
            backends,
            counting,
            allocator,
            mut clicks,
            readiness,
            recorded,
            server,
            ops_server,
        } = self;
        let (handle, ops_handle) = (server.handle(), ops_server.handle());
        let mut serving: JoinHandle<_> = tokio::spawn(server);
        let mut serving_ops: JoinHandle<_> = tokio::spawn(ops_server);
        readiness.start();

        let stopped = tokio::select! {
            signal = stop_signal() => signal.map(|name| tracing::info!(signal = name, "stopping")),
            _ = &mut serving => Err(anyhow::anyhow!("the public port is served no more")),
            _ = &mut serving_ops => Err(anyhow::anyhow!("the operations port is served no more")),
            () = backends.store.ended() => Err(anyhow::anyhow!("the link store writes no more")),
            () = allocator.ended() => Err(anyhow::anyhow!("the allocator ended on its own")),
            never = metrics::upkeep(&recorded) => match never {},
            () = counting_ended(&mut clicks) => Err(anyhow::anyhow!("clicks are counted no more")),
        };

        readiness.stop();
        sleep(Duration::from_millis(settings.drain_wait_ms)).await;
        let mut drain = Drain::new(settings.stop_timeout());
        drain.step("finish requests", stop(handle)).await;
        if let Some(clicks) = clicks {
            drain.step("count the clicks", clicks.drain(settings.stop_timeout() / 2)).await;
        }
        drain.step("return the lease", allocator.close()).await;
        drain.step("close the stores", backends.close()).await;
        drain.step("close the operations port", stop(ops_handle)).await;
        drop((counting, data_dir));
        tracing::info!("stopped");
        stopped.and(drain.finish())
    }
}

fn listen(setting: &str, address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).with_context(|| format!("{setting} {address} cannot be used"))
}

async fn stop(handle: ServerHandle) -> anyhow::Result<()> {
    handle.stop(true).await;
    Ok(())
}

async fn counting_ended(clicks: &mut Option<Clicks>) {
    match clicks {
        Some(clicks) => clicks.ended().await,
        None => std::future::pending().await,
    }
}

async fn stop_signal() -> anyhow::Result<&'static str> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    })
}
