//! The application: built from its settings, run until it is stopped, drained in order.

use std::{
    net::{SocketAddr, TcpListener},
    sync::Arc,
    time::Duration,
};

use actix_web::dev::{Server, ServerHandle};
use anyhow::Context;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::{
    runtime::Handle,
    signal::unix::{Signal, SignalKind, signal},
    task::JoinHandle,
    time::sleep,
};
use traces::Traces;

use super::{
    account_report::AccountReport,
    adopt_report::AdoptReport,
    carrier::Carrier,
    database::{self, OpenError},
    database_watch,
    drain::Drain,
    greeting,
    http::{Api, server},
    metrics, open_files,
    ops::{self, Ops, Readiness},
    settings::{Adopt, Settings},
};
use crate::{Leases, sqlite::Source};

/// What the service is called in traces.
const SERVICE: &str = "septet-token-service";

/// A token service that is about to serve.
pub struct Application {
    settings: Settings,
    stop_signals: StopSignals,
    carrier: Arc<Carrier>,
    readiness: Readiness,
    recorded: PrometheusHandle,
    traces: Traces,
    server: Server,
    ops_server: Server,
}

impl Application {
    /// Prepares the database, and nothing else.
    pub async fn migrate(settings: Settings) -> anyhow::Result<()> {
        database::migrate(&settings).await?;
        tracing::info!("the database is ready to be served from");
        Ok(())
    }

    /// Prints what became of every block; an error if the sums do not agree.
    pub async fn show_account(settings: Settings) -> anyhow::Result<()> {
        let store = database::open_existing(&settings).await?;
        let account = store.account().await;
        store.close().await;
        let account = account?;
        println!("{}", AccountReport(&account));
        anyhow::ensure!(account.is_balanced(), "the sums do not agree: not every block is accounted for");
        Ok(())
    }

    /// Moves an embedded id space into the database, and says what was moved.
    pub async fn adopt(settings: Settings, adopt: Adopt) -> anyhow::Result<()> {
        let path = adopt.source(&settings)?;
        let source = Source::open(&path).await?;
        let destination = database::open_destination(&settings, &source).await?;
        let moved = match adopt.undo {
            false => destination.adopt(&source).await.map(|adopted| AdoptReport(&adopted).to_string()),
            true => destination.undo(&source).await.map(|()| format!("{} leases again", path.display())),
        };
        destination.close().await;
        source.close().await;
        println!("{}", moved?);
        Ok(())
    }

    /// Builds what serves. A database that does not answer is waited for later; one that must not be used ends it here.
    pub async fn build(settings: Settings) -> anyhow::Result<Self> {
        let stop_signals = StopSignals::listen()?;
        let secret = settings.secret()?;
        let recorded = metrics::start().context("nothing can be measured")?;
        let traces = traces::start(&settings.traces, SERVICE, env!("CARGO_PKG_VERSION"), Handle::current())?;
        let open_files_max = open_files::raise_limit();
        let carrier = Arc::new(Carrier::new(Handle::current()));
        match database_watch::open(&settings, &carrier).await {
            Ok(()) => {}
            Err(OpenError::Refused(why)) => return Err(why),
            Err(error @ OpenError::NoAnswer(_)) => tracing::warn!(%error, "serving without it until it answers"),
        }
        let readiness = Readiness::default();
        let api = Api { leases: carrier.clone(), secret };
        let (server, listening) = server::bind(&settings, api, open_files_max)
            .with_context(|| format!("--listen {} cannot be used", settings.listen))?;
        let (ops_listener, ops_listening) = listen_ops(settings.ops_listen)
            .with_context(|| format!("--ops-listen {} cannot be used", settings.ops_listen))?;
        let ops = Ops { readiness: readiness.clone(), metrics: recorded.clone() };
        let ops_server = ops::server(ops_listener, ops).context("--ops-listen cannot be served")?;
        tracing::info!(%listening, ops = %ops_listening, "the token service starts");
        if let Err(error) = greeting::write(std::io::stdout(), listening, ops_listening) {
            tracing::warn!(%error, "nobody could be greeted");
        }
        Ok(Application { settings, stop_signals, carrier, readiness, recorded, traces, server, ops_server })
    }

    /// Serves until SIGTERM or SIGINT, or until a part of it fails; then stops in order.
    pub async fn run_until_stopped(self) -> anyhow::Result<()> {
        let Application { settings, mut stop_signals, carrier, readiness, recorded, traces, server, ops_server } = self;
        let (handle, ops_handle) = (server.handle(), ops_server.handle());
        let mut serving: JoinHandle<_> = tokio::spawn(server);
        let mut serving_ops: JoinHandle<_> = tokio::spawn(ops_server);

        let stopped = tokio::select! {
            signal = stop_signals.next() => {
                tracing::info!(signal, "stopping");
                Ok(())
            }
            _ = &mut serving => Err(anyhow::anyhow!("the public port is served no more")),
            _ = &mut serving_ops => Err(anyhow::anyhow!("the operations port is served no more")),
            refused = database_watch::watch(&settings, &carrier, &readiness) => refused.map(|never| match never {}),
            never = metrics::upkeep(&recorded) => match never {},
        };

        readiness.stop();
        sleep(Duration::from_millis(settings.drain_wait_ms)).await;
        let mut drain = Drain::new(settings.stop_timeout());
        drain.step("finish requests", stop(handle)).await;
        drain.step("finish calls and close the database", close(&*carrier)).await;
        drain.step("send the last traces", traces.stop(settings.stop_timeout())).await;
        drain.step("close the operations port", stop(ops_handle)).await;
        tracing::info!("stopped");
        stopped.and(drain.finish())
    }
}

fn listen_ops(address: SocketAddr) -> std::io::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(address)?;
    let listening = listener.local_addr()?;
    Ok((listener, listening))
}

async fn stop(handle: ServerHandle) -> anyhow::Result<()> {
    handle.stop(true).await;
    Ok(())
}

async fn close(leases: &dyn Leases) -> anyhow::Result<()> {
    leases.close().await;
    Ok(())
}

/// Listened for from the start: what comes while the database is waited for stops the service in order too.
struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignals {
    fn listen() -> std::io::Result<Self> {
        Ok(StopSignals { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}
