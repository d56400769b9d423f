//! The application: built from its settings, run until it is stopped, drained in order.

use std::{
    net::{SocketAddr, TcpListener},
    sync::Arc,
};

use actix_server::{Server, ServerHandle};
use actix_web::web;
use anyhow::Context;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::{
    runtime::Handle,
    signal::unix::{Signal, SignalKind, signal},
    task::JoinHandle,
    time::{Duration, sleep},
};
use traces::Traces;

use crate::{
    allocator::{self, Allocator},
    api::{Api, RootTarget, auth::Authenticator, link_clicks::LinkClicks},
    api_key,
    backends::{self, Backends},
    changes::{Changes, Hearing},
    clicks::{Clicks, Way},
    copy,
    counting::CountingRuntime,
    data_dir::DataDir,
    drain::Drain,
    greeting, metrics,
    ops::{self, Ops},
    redirect::{
        cache::{Cache, CacheSettings},
        front::ClickHeaders,
    },
    server::{self, Shared},
    settings::{ClicksUrl, CopyArgs, Settings},
    shortener::Shortener,
    store::{Claims, Store, scylla::ScyllaStore},
};

/// What an instance is called in traces.
const SERVICE: &str = "septet";

/// Prepares the stores that the settings name, and nothing else.
pub async fn migrate(settings: Settings) -> anyhow::Result<()> {
    // What is kept elsewhere is prepared beside instances that run.
    let held = if settings.keeps_databases() { Some(DataDir::open(&settings.data_dir)?) } else { None };
    backends::migrate(&settings, &settings.data_dir).await?;
    if let Some(data_dir) = held {
        println!("{} is prepared", data_dir.path().display());
    }
    Ok(())
}

/// Copies an embedded link store into a keyspace, and says what was copied.
pub async fn copy(settings: Settings, CopyArgs { from, to }: CopyArgs) -> anyhow::Result<()> {
    let file = from.path(&settings.data_dir, backends::LINKS);
    let (source, _held) = copy::source(&file).await?;
    let destination = ScyllaStore::open(&settings.links.cql(&to)?).await?;
    let report = copy::copy(&source, &destination).await?;
    source.close().await;
    println!("{report}");
    Ok(())
}

/// Serves until SIGTERM or SIGINT, or until a part of it fails. Stops in order, at any moment.
pub async fn serve(settings: Settings) -> anyhow::Result<()> {
    let mut stop = StopSignals::listen()?;
    let starting = Starting::new(settings)?;
    // The first start of all waits here for a token service.
    let backends = tokio::select! {
        opened = starting.open_backends() => opened?,
        signal = stop.received() => {
            tracing::info!(signal, "stopped while starting");
            return Ok(());
        }
    };
    Application::build(starting, backends).await?.run_until(stop).await
}

/// What a start has before the stores are open: settings that make sense, and an operations port that says "starting".
struct Starting {
    settings: Settings,
    api_key: Option<String>,
    root: Option<String>,
    data_dir: DataDir,
    counting: CountingRuntime,
    recorded: PrometheusHandle,
    traces: Traces,
    ops: Ops,
    ops_listening: SocketAddr,
    ops_handle: ServerHandle,
    serving_ops: JoinHandle<std::io::Result<()>>,
}

impl Starting {
    fn new(settings: Settings) -> anyhow::Result<Self> {
        let api_key = settings.api_key()?;
        let root = settings.root_target()?;
        settings.check_clicks()?;
        let recorded = metrics::start().context("metrics cannot be recorded")?;
        let traces = traces::start(&settings.traces, SERVICE, env!("CARGO_PKG_VERSION"), Handle::current())?;
        let data_dir = DataDir::open(&settings.data_dir)?;
        let counting = CountingRuntime::start().context("threads cannot be started")?;
        let ops_listener = listen("--ops-listen", settings.ops_listen)?;
        let ops_listening = ops_listener.local_addr()?;
        let ops = Ops::new(recorded.clone());
        let ops_server = ops::server(ops_listener, ops.clone()).context("--ops-listen cannot be served")?;
        let ops_handle = ops_server.handle();
        let serving_ops = tokio::spawn(ops_server);
        tracing::info!(ops = %ops_listening, "Septet prepares to start");
        Ok(Starting {
            settings,
            api_key,
            root,
            data_dir,
            counting,
            recorded,
            traces,
            ops,
            ops_listening,
            ops_handle,
            serving_ops,
        })
    }

    async fn open_backends(&self) -> anyhow::Result<Backends> {
        Backends::open(&self.settings, self.data_dir.path(), &self.counting).await
    }
}

/// A Septet that is about to serve.
struct Application {
    starting: Starting,
    backends: Backends,
    allocator: Allocator,
    clicks: Option<Clicks>,
    /// Keeps listening.
    hearing: Option<Hearing>,
    server: Server,
}

impl Application {
    /// Starts what runs in the background, and listens.
    async fn build(starting: Starting, backends: Backends) -> anyhow::Result<Self> {
        let Starting { settings, data_dir, counting, ops, ops_listening, .. } = &starting;
        let listener = listen("--listen", settings.listen)?;
        let listening = listener.local_addr()?;

        let Backends { leases, store, visitor_salts, rollups, queries, codec } = &backends;
        let topics = settings.clicks.topics()?;
        let way = match (&settings.clicks.url, &topics) {
            (ClicksUrl::None, _) => None,
            (_, Some(topics)) => {
                backends::topics::look(topics, data_dir.path()).await?;
                Some(Way::Forward(topics.clicks.clone()))
            }
            (_, None) => rollups.clone().map(Way::Count),
        };
        let clicks = match way {
            Some(way) => {
                let salts = visitor_salts.clone();
                Some(Clicks::start(settings, data_dir.path(), way, salts, counting.handle()).await?)
            }
            None => None,
        };
        // After everything that can refuse to start: blocks are leased from here on.
        let claims: Arc<dyn Claims> = store.clone();
        let allocator = Allocator::start(Arc::clone(leases), claims, Arc::clone(codec), allocator::Options::default());

        let cache = CacheSettings::new(settings.cache_max_bytes, settings.cache_ttl(), settings.hears_others());
        let cache = Cache::new(store.clone(), cache, Handle::current());
        let (hearing, changes) = match topics {
            Some(topics) if settings.hears_others() => {
                let (hearing, changes) = Hearing::start(&topics.changes, Arc::clone(&cache))?;
                (Some(hearing), changes)
            }
            _ => (None, Changes::unheard(Arc::clone(&cache))),
        };
        let shortener = Shortener::new(Arc::clone(store), allocator.clone(), changes, settings.public_url.clone());
        let shared = Shared {
            readiness: ops.readiness.clone(),
            api: web::Data::new(Api {
                shortener,
                queries: Arc::clone(queries),
                clicks: LinkClicks::new(Arc::clone(queries)),
                codec: Arc::clone(codec),
            }),
            authenticator: web::Data::new(Authenticator::new(Arc::clone(store))),
            root: web::Data::new(RootTarget(starting.root.clone())),
            cache: Arc::clone(&cache),
            clicks: clicks.as_ref().map(Clicks::logs),
            click_headers: ClickHeaders {
                forwarded_for: !settings.trusted_proxies.is_empty(),
                country: settings.country_header.clone(),
            },
        };
        ops.show(cache);
        let server = server::server(listener, settings, shared).context("--listen cannot be served")?;
        // Last, so that a key which is made is a key which is shown.
        let made_api_key = api_key::ensure(&**store, starting.api_key.as_deref()).await?;
        tracing::info!(%listening, ops = %ops_listening, public_url = settings.public_url.as_str(), "Septet starts");
        let key = made_api_key.as_deref();
        if let Err(error) = greeting::write(std::io::stdout(), listening, *ops_listening, &settings.public_url, key) {
            tracing::warn!(%error, "nobody could be greeted; if an API key was made, set another with --api-key");
        }
        Ok(Application { starting, backends, allocator, clicks, hearing, server })
    }

    /// Serves until it is told to stop, or until a part of it fails; then stops in order.
    async fn run_until(self, mut stop_signals: StopSignals) -> anyhow::Result<()> {
        let Application { starting, backends, allocator, mut clicks, hearing, server } = self;
        let Starting { settings, data_dir, counting, recorded, traces, ops, ops_handle, mut serving_ops, .. } =
            starting;
        let handle = server.handle();
        let mut serving: JoinHandle<_> = tokio::spawn(server);
        ops.readiness.start();

        let stopped = tokio::select! {
            signal = stop_signals.received() => {
                tracing::info!(signal, "stopping");
                Ok(())
            }
            _ = &mut serving => Err(anyhow::anyhow!("the public port is served no more")),
            _ = &mut serving_ops => Err(anyhow::anyhow!("the operations port is served no more")),
            () = backends.store.ended() => Err(anyhow::anyhow!("the link store writes no more")),
            () = allocator.ended() => Err(anyhow::anyhow!("the allocator ended on its own")),
            never = metrics::upkeep(&recorded) => match never {},
            () = counting_ended(&mut clicks) => Err(anyhow::anyhow!("clicks are taken from the click log no more")),
        };

        ops.readiness.stop();
        sleep(Duration::from_millis(settings.drain_wait_ms)).await;
        let mut drain = Drain::new(settings.stop_timeout());
        drain.step("finish requests", stop(handle)).await;
        if let Some(clicks) = clicks {
            drain.step("take the clicks from the click log", clicks.drain(settings.stop_timeout() / 2)).await;
        }
        drain.step("tell the last changes", finish(hearing)).await;
        drain.step("return the lease", allocator.close()).await;
        drain.step("close the stores", backends.close()).await;
        drain.step("send the last traces", traces.stop(settings.stop_timeout())).await;
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

async fn finish(hearing: Option<Hearing>) -> anyhow::Result<()> {
    // Speaks to Kafka for a moment, and ends its threads.
    let finished = tokio::task::spawn_blocking(move || hearing.inspect(Hearing::finish).map(drop));
    finished.await.map(drop).context("changes could not be told")
}

async fn counting_ended(clicks: &mut Option<Clicks>) {
    match clicks {
        Some(clicks) => clicks.ended().await,
        None => std::future::pending().await,
    }
}

/// What asks the process to stop, from the moment on at which it is listened to.
struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignals {
    fn listen() -> anyhow::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// The next one's name.
    async fn received(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}
