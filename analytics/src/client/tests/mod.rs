mod answers;
mod attempts;
mod secrecy;
mod server;

use serde_json::json;

use super::*;
use crate::{
    query::{Bots, Counted, Dimension},
    wire::{ErrorAnswer, ErrorBody, ErrorCode},
};
use server::{Reply, Server, dead_url};

/// So long that only a hanging service reaches it.
const PATIENCE: Duration = Duration::from_secs(20);
/// So short that a test can wait for it, and long enough for a server on loopback.
const SHORT: Duration = Duration::from_millis(250);

fn options(urls: Vec<ServiceUrl>) -> ClientOptions {
    ClientOptions { call_timeout: PATIENCE, hedge_after: PATIENCE, ..ClientOptions::new(urls) }
}

fn client(urls: Vec<ServiceUrl>) -> HttpQueries {
    HttpQueries::new(options(urls)).unwrap()
}

fn query(group: Group) -> Query {
    Query { links: Links::One(7), span_ms: 0..900_000, bots: Bots::Exclude, group }
}

/// The answer that a good server gives.
const COUNTED: Counted = Counted { clicks: 3, visitors: Some(2) };

fn counted() -> Reply {
    Reply::ok(&Answer::Count(COUNTED))
}

async fn count(client: &HttpQueries) -> Result<Counted, QueryError> {
    match client.answer(&query(Group::Count)).await? {
        Answer::Count(counted) => Ok(counted),
        other => panic!("a count was asked for: {other:?}"),
    }
}

fn error(status: u16, code: ErrorCode) -> Reply {
    Reply::json(status, &ErrorAnswer { error: ErrorBody { code, message: "it is so".to_owned() } })
}
