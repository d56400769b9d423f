//! The operations port: is it alive, is it ready, what does it count.

use std::{
    net::TcpListener,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU8, Ordering},
    },
};

use ::metrics::{describe_gauge, gauge};
use actix_web::{App, HttpResponse, HttpServer, dev::Server, web};
use metrics_exporter_prometheus::PrometheusHandle;

use crate::{metrics, redirect::cache::Cache};

/// Whether requests should be sent here.
#[derive(Debug, Clone, Default)]
pub struct Readiness(Arc<AtomicU8>);

const IS_READY: &str = "septet_ready";

const STARTING: u8 = 0;
const READY: u8 = 1;
const STOPPING: u8 = 2;

impl Readiness {
    /// From now on, they should.
    pub fn start(&self) {
        self.0.store(READY, Ordering::Release);
    }

    /// From now on, they should not.
    pub fn stop(&self) {
        self.0.store(STOPPING, Ordering::Release);
    }

    fn is_ready(&self) -> bool {
        self.0.load(Ordering::Acquire) == READY
    }

    pub fn is_stopping(&self) -> bool {
        self.0.load(Ordering::Relaxed) == STOPPING
    }
}

/// What the operations port shows.
#[derive(Clone)]
pub struct Ops {
    pub readiness: Readiness,
    metrics: PrometheusHandle,
    /// There is none before the start is over.
    cache: Arc<OnceLock<Arc<Cache>>>,
}

impl Ops {
    /// Of a process that starts.
    pub fn new(metrics: PrometheusHandle) -> Self {
        Ops { readiness: Readiness::default(), metrics, cache: Arc::default() }
    }

    /// From now on, the metrics say how full this cache is.
    pub fn show(&self, cache: Arc<Cache>) {
        self.cache.get_or_init(|| cache);
    }
}

/// The server of the operations port.
pub fn server(listener: TcpListener, ops: Ops) -> std::io::Result<Server> {
    describe_gauge!(IS_READY, "1 while /readyz says ready; 0 while the process starts or stops.");
    let ops = web::Data::new(ops);
    let server = HttpServer::new(move || {
        App::new()
            .app_data(ops.clone())
            .service(web::resource("/livez").get(livez))
            .service(web::resource("/readyz").get(readyz))
            .service(web::resource("/metrics").get(show_metrics))
    });
    Ok(server.workers(1).disable_signals().shutdown_timeout(1).listen(listener)?.run())
}

/// The process answers; no engine is asked.
async fn livez() -> HttpResponse {
    HttpResponse::Ok().content_type("text/plain").body("ok\n")
}

async fn readyz(ops: web::Data<Ops>) -> HttpResponse {
    match ops.readiness.0.load(Ordering::Acquire) {
        READY => HttpResponse::Ok().content_type("text/plain").body("ready\n"),
        STARTING => HttpResponse::ServiceUnavailable().content_type("text/plain").body("starting\n"),
        _ => HttpResponse::ServiceUnavailable().content_type("text/plain").body("stopping\n"),
    }
}

async fn show_metrics(ops: web::Data<Ops>) -> HttpResponse {
    if let Some(cache) = ops.cache.get() {
        metrics::show_cache(cache);
    }
    gauge!(IS_READY).set(f64::from(u8::from(ops.readiness.is_ready())));
    HttpResponse::Ok().content_type("text/plain; version=0.0.4; charset=utf-8").body(ops.metrics.render())
}
