//! The public port.

use std::{io, net::SocketAddr, time::Duration};

use actix_web::{App, HttpServer, dev::Server, web};

use super::{Api, configure};
use crate::service::{metrics, settings::Settings};

/// How long a client may take to send a request's head.
const REQUEST_HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a connection may take to close.
const DISCONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Threads that read calls and write answers. What is asked runs elsewhere.
const WORKERS: usize = 2;
/// Connections of one worker; more wait to be accepted. Fewer where the system allows this process fewer open files.
const CONNECTIONS_MAX_PER_WORKER: usize = 10_000;
/// Open files that are kept for other than connections to the public port.
const OTHER_FILES: u64 = 256;

/// The server of the public port, and where it listens. It stops when its handle says so, and closes idle connections first.
pub fn bind(settings: &Settings, api: Api, open_files_max: u64) -> io::Result<(Server, SocketAddr)> {
    let connections_max = connections_max_per_worker(open_files_max);
    metrics::connections_max(connections_max * WORKERS);
    let server = HttpServer::new(move || App::new().app_data(web::Data::new(api.clone())).configure(configure))
        .workers(WORKERS)
        .max_connections(connections_max)
        .keep_alive(Duration::from_secs(settings.keep_alive_s))
        .client_request_timeout(REQUEST_HEAD_TIMEOUT)
        .client_disconnect_timeout(DISCONNECT_TIMEOUT)
        .on_connect(|_, data| {
            data.insert(metrics::Connection::open());
        })
        .shutdown_timeout(settings.stop_timeout().as_secs().max(1))
        .disable_signals()
        .bind(settings.listen)?;
    let listening = server.addrs().first().copied().ok_or(io::ErrorKind::AddrNotAvailable)?;
    Ok((server.run(), listening))
}

fn connections_max_per_worker(open_files_max: u64) -> usize {
    let files = usize::try_from(open_files_max.saturating_sub(OTHER_FILES)).unwrap_or(usize::MAX);
    (files / WORKERS).clamp(1, CONNECTIONS_MAX_PER_WORKER)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seen to fail when the files that the store needs were given to connections too.
    #[test]
    fn connections_leave_files_for_the_store() {
        assert_eq!(connections_max_per_worker(1024), 384);
        assert_eq!(connections_max_per_worker(100), 1);
        assert_eq!(connections_max_per_worker(u64::MAX), CONNECTIONS_MAX_PER_WORKER);
    }
}
