//! What an id costs: made into a code, taken on the request path, and drawn through the whole allocator.

use std::{
    fmt::Write as _,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::Result;
use async_trait::async_trait;
use clap::Args;
use septet_tests::bench::report::{Report, median};
use serde::Serialize;
use shortener::{
    allocator::{Allocator, Options},
    code::Codec,
    store::{Claim, Claims, Pinned, StoreError, sqlite::SqliteStore},
};
use token_service::{
    Block, IdSpace, Lease, LeaseError, LeaseId, LeaseRequest, Leases, Owner, Usage,
    sqlite::{SqliteLeases, SqliteOptions},
};

use crate::Common;

/// Ids made into codes in one measurement.
const CODES: u32 = 400_000;

/// How often codes are taken from full blocks, how many, and how long the blocks then have to become full again. Fewer than a block
/// holds, so that no other is made ready meanwhile.
const FILLS: u32 = 40;
const TAKEN_AT_ONCE: u64 = 3_500;
const FILL_TIME: Duration = Duration::from_millis(100);

#[derive(Debug, Args)]
pub struct Settings {
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Seconds of drawing in each round
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
}

#[derive(Debug, Serialize)]
struct Round {
    /// Making a code of an id, off the request path.
    make_ns: f64,
    /// Taking a code that was made ahead: the cost on the request path.
    take_ns: f64,
    /// Ids a second through the allocator, with leases and claims in memory.
    ids_per_second: f64,
    /// The same with leases and claims in SQLite, on disk.
    stored_ids_per_second: f64,
}

/// Measures.
///
/// # Errors
/// When a store does not open.
pub fn run(settings: &Settings, common: &Common) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let rounds = (0..settings.rounds).map(|_| runtime.block_on(round(settings))).collect::<Result<Vec<_>>>()?;
    let mut table = String::from(
        "| round | taking a code, ns | making a code, ns | ids/s in memory | ids/s with SQLite |\n|---|---|---|---|---|\n",
    );
    for (n, round) in rounds.iter().enumerate() {
        writeln!(
            table,
            "| {} | {:.1} | {:.0} | {:.0} | {:.0} |",
            n + 1,
            round.take_ns,
            round.make_ns,
            round.ids_per_second,
            round.stored_ids_per_second
        )?;
    }
    let take_ns = median(rounds.iter().map(|round| round.take_ns));
    writeln!(table, "\nMedian of taking a code: {take_ns:.1} ns.")?;
    Report::new("Ids", rounds)?.publish(&table, common.out.as_deref())
}

async fn round(settings: &Settings) -> Result<Round> {
    let time = Duration::from_secs_f64(settings.seconds);
    let id_space = IdSpace::new([7; 32]);
    let codec = Arc::new(Codec::new(&id_space));
    let make_ns = make(&codec);
    let seams = Arc::new(Granted { next_block: AtomicU32::new(0) });
    let allocator = Allocator::start(seams.clone(), seams, Arc::clone(&codec), Options::default());
    let take_ns = take(&allocator).await;
    let ids_per_second = draw(&allocator, time).await?;
    allocator.close().await?;

    let dir = tempfile::tempdir()?;
    let leases = Arc::new(SqliteLeases::open(dir.path().join("leases.db"), SqliteOptions::default()).await?);
    let id_space = leases.id_space().await?;
    let store = Arc::new(SqliteStore::open(&dir.path().join("links.db")).await?);
    store.pin_id_space(&id_space).await?;
    let allocator = Allocator::start(leases, store, Arc::new(Codec::new(&id_space)), Options::default());
    let stored_ids_per_second = draw(&allocator, time).await?;
    allocator.close().await?;
    Ok(Round { make_ns, take_ns, ids_per_second, stored_ids_per_second })
}

fn make(codec: &Codec) -> f64 {
    let begun = Instant::now();
    for id in 0..u64::from(CODES) {
        std::hint::black_box(codec.encode(std::hint::black_box(id)));
    }
    ns_each(begun.elapsed(), u64::from(CODES))
}

/// Takes codes that were made ahead, again and again; only the taking is timed. The median, as somebody else may have had the core.
async fn take(allocator: &Allocator) -> f64 {
    let mut each = Vec::new();
    for _ in 0..FILLS {
        tokio::time::sleep(FILL_TIME).await;
        let begun = Instant::now();
        for _ in 0..TAKEN_AT_ONCE {
            std::hint::black_box(allocator.take());
        }
        each.push(ns_each(begun.elapsed(), TAKEN_AT_ONCE));
        while allocator.take().is_some() {}
    }
    median(each)
}

/// Ids a second, when each is taken as soon as it is there.
async fn draw(allocator: &Allocator, time: Duration) -> Result<f64> {
    let (begun, mut drawn) = (Instant::now(), 0_u64);
    while begun.elapsed() < time {
        allocator.take_or_wait(time).await?;
        drawn += 1;
    }
    Ok(drawn as f64 / begun.elapsed().as_secs_f64())
}

fn ns_each(elapsed: Duration, count: u64) -> f64 {
    elapsed.as_nanos() as f64 / count.max(1) as f64
}

/// Leases and claims that are always granted, at once.
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
