//! The operations port: is it alive, is it ready, what does it count.

use std::{
    net::TcpListener,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
};

use actix_web::{App, HttpResponse, HttpServer, dev::Server, web};
use metrics::{describe_gauge, gauge};
use metrics_exporter_prometheus::PrometheusHandle;

/// Whether questions should be sent here.
#[derive(Debug, Clone, Default)]
pub struct Readiness(Arc<AtomicU8>);

const IS_READY: &str = "septet_ready";

const STARTING: u8 = 0;
const READY: u8 = 1;
const STOPPING: u8 = 2;

impl Readiness {
    /// From now on, they should: the rollups can be read. Not once it is stopping.
    pub fn start(&self) {
        let _ = self.0.compare_exchange(STARTING, READY, Ordering::AcqRel, Ordering::Acquire);
    }

    fn is_ready(&self) -> bool {
        self.0.load(Ordering::Acquire) == READY
    }

    /// From now on, they should not.
    pub fn stop(&self) {
        self.0.store(STOPPING, Ordering::Release);
    }
}

/// What the operations port shows.
#[derive(Clone)]
pub struct Ops {
    pub readiness: Readiness,
    pub metrics: PrometheusHandle,
}

/// The server of the operations port.
pub fn server(listener: TcpListener, ops: Ops) -> std::io::Result<Server> {
    describe_gauge!(IS_READY, "1 while /readyz says ready; 0 while the process starts or stops.");
    let ops = web::Data::new(ops);
    let server = HttpServer::new(move || App::new().app_data(ops.clone()).configure(configure));
    Ok(server.workers(1).disable_signals().shutdown_timeout(1).listen(listener)?.run())
}

fn configure(config: &mut web::ServiceConfig) {
    config
        .service(web::resource("/livez").get(livez))
        .service(web::resource("/readyz").get(readyz))
        .service(web::resource("/metrics").get(show_metrics));
}

/// The process answers; no store is asked.
async fn livez() -> HttpResponse {
    HttpResponse::Ok().content_type("text/plain").body("ok\n")
}

async fn readyz(ops: web::Data<Ops>) -> HttpResponse {
    match ops.readiness.0.load(Ordering::Acquire) {
        READY => HttpResponse::Ok().content_type("text/plain").body("ready\n"),
        STARTING => HttpResponse::ServiceUnavailable().content_type("text/plain").body("waiting for the rollups\n"),
        _ => HttpResponse::ServiceUnavailable().content_type("text/plain").body("stopping\n"),
    }
}

async fn show_metrics(ops: web::Data<Ops>) -> HttpResponse {
    gauge!(IS_READY).set(f64::from(u8::from(ops.readiness.is_ready())));
    HttpResponse::Ok().content_type("text/plain; version=0.0.4; charset=utf-8").body(ops.metrics.render())
}
