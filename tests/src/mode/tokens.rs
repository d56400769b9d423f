//! The token service of this process, which ends with it.

use std::{net::SocketAddr, sync::OnceLock};

use anyhow::Result;

use crate::{
    binary,
    engines::{
        mariadb::{self, Database},
        ports::Port,
        server::Server,
        watched_dir::WatchedDir,
    },
    raw,
    token_service::{self, SECRET},
};

struct Tokens {
    url: String,
    _server: Server,
    _ports: [Port; 2],
    _database: Database,
}

/// What `--leases` is set to.
///
/// # Panics
/// When it does not start.
pub fn url() -> &'static str {
    static TOKENS: OnceLock<std::result::Result<Tokens, String>> = OnceLock::new();
    match TOKENS.get_or_init(|| start().map_err(|error| format!("{error:#}"))) {
        Ok(tokens) => &tokens.url,
        Err(error) => panic!("{error}"),
    }
}

/// A [`Server`] rather than a process of a test: nothing is dropped at the end of a test program, and what watches over a server
/// ends it then.
fn start() -> Result<Tokens> {
    let database = mariadb::database();
    let ports = [Port::take()?, Port::take()?];
    let [listen, ops] = ports.each_ref().map(|port| SocketAddr::from(([127, 0, 0, 1], port.number())));
    let dir = WatchedDir::new("tokens")?;
    token_service::migrate(&database.url(), dir.path());
    let mut server = Server::new("the token service", dir, ops, is_ready);
    let mut command = vec!["env".into(), format!("SEPTET_DATABASE={}", database.url())];
    command.push(format!("SEPTET_TOKEN_SERVICE_SECRET={SECRET}"));
    command.push(binary::token_service().display().to_string());
    command.extend(["--listen".into(), listen.to_string(), "--ops-listen".into(), ops.to_string()]);
    server.start_by(command)?;
    Ok(Tokens { url: format!("http://{listen}"), _server: server, _ports: ports, _database: database })
}

fn is_ready(ops: SocketAddr) -> bool {
    let request = b"GET /readyz HTTP/1.1\r\nHost: ops\r\nConnection: close\r\n\r\n";
    raw::exchange(ops, request).is_ok_and(|answer| answer.status == 200)
}
