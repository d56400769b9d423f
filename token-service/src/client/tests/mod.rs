mod answers;
mod attempts;
mod secrecy;
mod server;

use uuid::Uuid;

use super::*;
use crate::{
    Block,
    wire::{ErrorAnswer, ErrorBody, ErrorCode},
};
use server::{Reply, Server, dead_url};

/// So long that only a hanging service reaches it.
const PATIENCE: Duration = Duration::from_secs(20);
/// So short that a test can wait for it, and long enough for a server on loopback.
const SHORT: Duration = Duration::from_millis(250);

fn options(urls: Vec<ServiceUrl>) -> ClientOptions {
    ClientOptions {
        attempt_timeout: PATIENCE,
        call_timeout: PATIENCE,
        pause_min: Duration::from_millis(1),
        ..ClientOptions::new(urls)
    }
}

fn client(urls: Vec<ServiceUrl>) -> HttpLeases {
    HttpLeases::new(options(urls)).unwrap()
}

fn id_space(seed: u8) -> IdSpace {
    IdSpace::new([seed; 32])
}

fn lease() -> Lease {
    Lease { id: LeaseId(7), first: Block(40), blocks: 2, ttl_ms: 60_000 }
}

fn request() -> LeaseRequest {
    LeaseRequest { request_id: Uuid::new_v4(), owner: Owner::random(), blocks: 2 }
}

fn leased() -> Reply {
    Reply::ok(&LeaseAnswer { lease: lease(), id_space: IdSpaceAnswer::with_key(&id_space(1)) })
}

fn error(status: u16, code: ErrorCode) -> Reply {
    Reply::json(status, &ErrorAnswer { error: ErrorBody::new(code, "it is so") })
}
