//! How long it takes to take a code, and to make one: `cargo run --release --example take`.
//!
//! Leases and claims are in memory and always granted, so that nothing but the allocator is measured.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use async_trait::async_trait;
use shortener::{
    allocator::{Allocator, Options},
    code::Codec,
    store::{Claim, Claims, Pinned, StoreError},
};
use token_service::{Block, IdSpace, Lease, LeaseError, LeaseId, LeaseRequest, Leases, Owner, Usage};

const CODES: u32 = 400_000;
const ROUNDS: u32 = 20;

struct Granted {
    next_block: AtomicU32,
}

#[async_trait]
impl Leases for Granted {
    async fn id_space(&self) -> Result<IdSpace, LeaseError> {
        Ok(IdSpace::new([7; 32]))
    }
    async fn lease(&self, request: &LeaseRequest) -> Result<Lease, LeaseError> {
        let first = self.next_block.fetch_add(request.blocks, Ordering::Relaxed);
        Ok(Lease { id: LeaseId(u64::from(first)), first: Block(first), blocks: request.blocks, ttl_ms: 3_600_000 })
    }
    async fn renew(&self, _: LeaseId, _: Owner, _: Usage) -> Result<(), LeaseError> {
        Ok(())
    }
    async fn give_back(&self, _: LeaseId, _: Owner, _: Usage) -> Result<(), LeaseError> {
        Ok(())
    }
}

#[async_trait]
impl Claims for Granted {
    async fn claim(&self, block: Block, _: Owner) -> Result<Claim, StoreError> {
        Ok(Claim::Granted { first_unused: block.first_id() })
    }
    async fn hand_back(&self, _: Block, _: Owner, _: u64) -> Result<bool, StoreError> {
        Ok(true)
    }
    async fn pin_id_space(&self, _: &IdSpace) -> Result<Pinned, StoreError> {
        Ok(Pinned::Ours)
    }
    async fn id_space(&self) -> Result<Option<IdSpace>, StoreError> {
        Ok(None)
    }
}

#[tokio::main(worker_threads = 1)]
async fn main() {
    let seams = Arc::new(Granted { next_block: AtomicU32::new(0) });
    let codec = Arc::new(Codec::new(&IdSpace::new([7; 32])));

    let started = Instant::now();
    let codes = (0..u64::from(CODES)).filter(|id| codec.encode(std::hint::black_box(*id)).is_some()).count();
    println!("make a code: {:.0} ns ({codes} codes of {CODES} ids)", ns_each(started.elapsed(), CODES));

    let allocator = Allocator::start(seams.clone(), seams, codec, Options::default());
    let (mut taken, mut taking) = (0, Duration::ZERO);
    for _ in 0..ROUNDS {
        // Time for the background task to make both blocks ready.
        tokio::time::sleep(Duration::from_millis(100)).await;
        let started = Instant::now();
        while std::hint::black_box(allocator.take()).is_some() {
            taken += 1;
        }
        taking += started.elapsed();
    }
    println!("take a code: {:.1} ns ({taken} codes)", ns_each(taking, taken));
    allocator.close().await.expect("everything is handed back");
}

fn ns_each(elapsed: Duration, count: u32) -> f64 {
    elapsed.as_nanos() as f64 / f64::from(count.max(1))
}
