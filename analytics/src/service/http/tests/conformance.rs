//! The suite of the seam, from the client over a socket to the engine.

use std::{net::SocketAddr, path::Path};

use actix_web::dev::ServerHandle;
use clap::Parser;

use super::*;
use crate::{
    client::{ClientOptions, HttpQueries},
    conformance,
    rollups::Rollups,
    service::{http::server, settings::Cli},
};

/// Serves each store on a port of its own.
struct OverHttp {
    directory: TempDir,
    servers: Vec<ServerHandle>,
}

impl OverHttp {
    async fn serve(&mut self, path: &Path) -> (Arc<dyn Rollups>, SocketAddr) {
        let store: Arc<dyn Rollups> = Arc::new(SqliteRollups::open(path).await.unwrap());
        let admission = Arc::new(Admission::new(Handle::current()));
        admission.open(Arc::new(Engine::new(store.clone())));
        let api = Api { admission, secret: Some(Secret::parse(SECRET).unwrap()) };
        let settings = Cli::try_parse_from(["septet-analytics", "--listen", "127.0.0.1:0"]).unwrap().settings;
        let (server, listening) = server::bind(&settings, api, 1_024).unwrap();
        self.servers.push(server.handle());
        tokio::spawn(server);
        (store, listening)
    }
}

#[async_trait]
impl conformance::queries::Harness for OverHttp {
    async fn empty(&mut self) -> (Arc<dyn Rollups>, Arc<dyn Queries>) {
        let path = self.directory.path().join(format!("{}.db", self.servers.len()));
        let (store, listening) = self.serve(&path).await;
        let url = format!("http://{listening}").parse().unwrap();
        let secret = Some(Secret::parse(SECRET).unwrap());
        let queries = HttpQueries::new(ClientOptions { secret, ..ClientOptions::new(vec![url]) }).unwrap();
        (store, Arc::new(queries))
    }
}

/// Seen to fail when the answer to a series lost its last span on the way.
#[tokio::test(flavor = "multi_thread")]
async fn the_queries_suite_holds_over_http() {
    let mut harness = OverHttp { directory: tempfile::tempdir().unwrap(), servers: Vec::new() };
    conformance::queries::suite(&mut harness).await;
    for server in harness.servers {
        server.stop(false).await;
    }
}
