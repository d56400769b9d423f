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
    sync::oneshot,
    task::JoinSet,
    time::sleep,
};
use traces::Traces;

use super::{
    admission::Admission,
    counting::Counting,
    drain::Drain,
    greeting,
    http::{Api, server},
    metrics, open_files,
    ops::{self, Ops, Readiness},
    rollups,
    settings::Settings,
};
use crate::kafka::topic;

/// What the service is called in traces.
const SERVICE: &str = "septet-analytics";

/// An analytics service that is about to serve.
pub struct Application {
    settings: Settings,
    stop_signals: StopSignals,
    counting: Counting,
    admission: Arc<Admission>,
    readiness: Readiness,
    recorded: PrometheusHandle,
    traces: Traces,
    server: Server,
    ops_server: Server,
}

impl Application {
    /// Makes the tables and the topic, says so, and does nothing else.
    pub async fn migrate(settings: Settings) -> anyhow::Result<()> {
        let Counting { clicks, rollups, .. } = settings.counting()?;
        println!("{}", rollups::migrate(&rollups, settings.replication_factor).await?);
        println!("{}", topic::prepare_clicks(&clicks, settings.topic()).await?);
        Ok(())
    }

    /// Builds what serves. What must be there before anything is counted is waited for later.
    pub async fn build(settings: Settings) -> anyhow::Result<Self> {
        let stop_signals = StopSignals::listen()?;
        let secret = settings.secret()?;
        let counting = settings.counting()?;
        let recorded = metrics::start().context("nothing can be measured")?;
        let traces = traces::start(&settings.traces, SERVICE, env!("CARGO_PKG_VERSION"), Handle::current())?;
        let open_files_max = open_files::raise_limit();
        let admission = Arc::new(Admission::new(Handle::current()));
        let readiness = Readiness::default();
        let api = Api { admission: Arc::clone(&admission), secret };
        let (server, listening) = server::bind(&settings, api, open_files_max)
            .with_context(|| format!("--listen {} cannot be used", settings.listen))?;
        let (ops_listener, ops_listening) = listen_ops(settings.ops_listen)
            .with_context(|| format!("--ops-listen {} cannot be used", settings.ops_listen))?;
        let ops = Ops { readiness: readiness.clone(), metrics: recorded.clone() };
        let ops_server = ops::server(ops_listener, ops).context("--ops-listen cannot be served")?;
        tracing::info!(%listening, ops = %ops_listening, "the analytics service starts");
        if let Err(error) = greeting::write(std::io::stdout(), listening, ops_listening) {
            tracing::warn!(%error, "nobody could be greeted");
        }
        Ok(Application { settings, stop_signals, counting, admission, readiness, recorded, traces, server, ops_server })
    }

    /// Counts and serves until SIGTERM or SIGINT, or until a part of it fails; then stops in order.
    pub async fn run_until_stopped(self) -> anyhow::Result<()> {
        let Application {
            settings,
            mut stop_signals,
            counting,
            admission,
            readiness,
            recorded,
            traces,
            server,
            ops_server,
        } = self;
        let (handle, ops_handle) = (server.handle(), ops_server.handle());
        let (mut serving, mut serving_ops) = (tokio::spawn(server), tokio::spawn(ops_server));
        let (stop_counting, stopped) = oneshot::channel::<()>();
        let stopped = async { drop(stopped.await) };
        let mut counting = JoinSet::from_iter([counting.run(admission, readiness.clone(), stopped)]);

        let ended = tokio::select! {
            signal = stop_signals.next() => {
                tracing::info!(signal, "stopping");
                Ok(())
            }
            ended = end_of(&mut counting) => ended,
            _ = &mut serving => Err(anyhow::anyhow!("the public port is served no more")),
            _ = &mut serving_ops => Err(anyhow::anyhow!("the operations port is served no more")),
            never = metrics::upkeep(&recorded) => match never {},
        };

        readiness.stop();
        sleep(Duration::from_millis(settings.drain_wait_ms)).await;
        let mut drain = Drain::new(settings.stop_timeout());
        drain.step("answer questions", stop(handle)).await;
        drop(stop_counting);
        drain.step("commit what was counted, leave the group and close the store", end_of(&mut counting)).await;
        drain.step("send the last traces", traces.stop(settings.stop_timeout())).await;
        drain.step("close the operations port", stop(ops_handle)).await;
        tracing::info!("stopped");
        ended.and(drain.finish())
    }
}

/// How counting ended; once it has, nothing more is to be said of it.
async fn end_of(counting: &mut JoinSet<anyhow::Result<()>>) -> anyhow::Result<()> {
    counting.join_next().await.map_or(Ok(()), |ended| ended.context("counting ended early")?)
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

/// Listened for from the start: what comes while something is waited for stops the service in order too.
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
