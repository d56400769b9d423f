//! The public port: the front that answers keys, and the application behind it.

use std::{io, net::TcpListener, rc::Rc, sync::Arc, time::Duration};

use actix_http::{HttpService, KeepAlive};
use actix_server::Server;
use actix_service::{IntoServiceFactory, ServiceFactory, fn_factory};
use actix_web::{App, dev::AppConfig, web};
use analytics::click_log::ClickLogs;

use crate::{
    api::{self, Api, RootTarget, auth::Authenticator},
    metrics,
    ops::Readiness,
    redirect::{
        cache::Cache,
        front::{ClickHeaders, Front, Redirects},
    },
    settings::Settings,
};

/// How long a client may take to send a request's head.
const REQUEST_HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a connection may take to close.
const DISCONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Connections of one worker; more wait to be accepted.
const CONNECTIONS_MAX: usize = 25_000;

/// What every worker thread works with.
#[derive(Clone)]
pub struct Shared {
    pub api: web::Data<Api>,
    pub authenticator: web::Data<Authenticator>,
    pub root: web::Data<RootTarget>,
    pub cache: Arc<Cache>,
    pub readiness: Readiness,
    /// `None` where clicks are not recorded.
    pub clicks: Option<Arc<ClickLogs>>,
    pub click_headers: ClickHeaders,
}

/// The server of the public port. It stops when its handle says so, and closes idle connections first.
pub fn server(listener: TcpListener, settings: &Settings, shared: Shared) -> io::Result<Server> {
    let keep_alive = KeepAlive::Timeout(Duration::from_secs(settings.keep_alive_s));
    metrics::connections_max(CONNECTIONS_MAX * settings.workers());
    let builder = Server::build()
        .workers(settings.workers())
        .max_concurrent_connections(CONNECTIONS_MAX)
        .shutdown_timeout(settings.stop_timeout().as_secs().max(1))
        .disable_signals();
    let stopping = builder.graceful_shutdown_signal();
    let server = builder.listen("septet", listener, move || {
        let stopping = stopping.clone();
        let shared = shared.clone();
        HttpService::build()
            .keep_alive(keep_alive)
            .client_request_timeout(REQUEST_HEAD_TIMEOUT)
            .client_disconnect_timeout(DISCONNECT_TIMEOUT)
            .graceful_shutdown_signal(move || {
                let stopping = stopping.clone();
                async move { stopping.notified().await }
            })
            .on_connect_ext(|_, data| {
                data.insert(metrics::Connection::open());
            })
            .finish(fn_factory(move || worker(shared.clone())))
            .tcp()
    })?;
    Ok(server.run())
}

/// Makes what one worker thread serves with.
async fn worker(
    shared: Shared,
) -> Result<
    Front<
        impl actix_service::Service<
            actix_http::Request,
            Response = impl Into<actix_http::Response<actix_http::body::BoxBody>>,
            Error = actix_web::Error,
        >,
    >,
    (),
> {
    let Shared { api, authenticator, root, cache, readiness, clicks, click_headers } = shared;
    let app = App::new().app_data(api).app_data(authenticator).app_data(root).configure(api::configure);
    let app = app.into_factory().new_service(AppConfig::default()).await?;
    let clicks = match clicks.map(|logs| logs.writer()).transpose() {
        Ok(clicks) => clicks,
        Err(error) => {
            tracing::error!(%error, "a worker thread cannot open its click log");
            return Err(());
        }
    };
    Ok(Front::new(Rc::new(Redirects::new(cache, readiness, clicks, click_headers)), app))
}
