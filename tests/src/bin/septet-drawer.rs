//! Draws ids from the allocator as an instance does, faster than any instance could, and writes each to a file: what the tests
//! of faults look through for an id that came twice.
//!
//! Everything in it is the shortener's own: the allocator, the client of the token service, the claims in a link store that
//! several drawers share. Only the links are left out.

use std::{
    env,
    fs::{File, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use analytics::cql::CqlOptions;
use anyhow::{Context, Result, bail};
use async_trait::async_trait;
use clap::Parser;
use futures::FutureExt;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use septet_tests::drawing::Drawn;
use shortener::{
    allocator::{self, Allocator, NoCodes, metrics::BLOCKS_REFUSED},
    code::Codec,
    settings::LinksUrl,
    store::{Claim, Claims, Pinned, Store, StoreError, scylla::ScyllaStore, sqlite::SqliteStore},
};
use token_service::{
    Block, IdSpace, Leases, Owner,
    client::{ClientOptions, HttpLeases},
    secret::Secret,
};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    task::yield_now,
    time::{Instant, sleep, sleep_until},
};

/// Ids written to the file at once: what a `kill -9` can hide from the test.
const IDS_AT_ONCE: usize = 64;

/// How long an id is waited for before it is looked whether to stop.
const ID_WAIT: Duration = Duration::from_millis(200);

/// The shortest pause of a drawer that is ahead of its time.
const PAUSE_MIN: Duration = Duration::from_millis(5);

/// How long a statement of a claim may take: drawers share the machine with all that they draw from.
const CLAIM_TIMEOUT: Duration = Duration::from_secs(5);

/// How often the counts so far are printed.
const PRINT_INTERVAL: Duration = Duration::from_millis(500);

#[derive(Debug, Parser)]
#[command(
    name = "septet-drawer",
    about = "Draws ids for the tests of faults; SEPTET_TOKEN_SERVICE_SECRET holds the secret"
)]
struct Cli {
    /// The token services, comma-separated
    #[arg(long, value_delimiter = ',')]
    leases: Vec<String>,
    /// The link store that holds the claims: `sqlite:FILE`, or a keyspace that was migrated, `scylla://...`
    #[arg(long)]
    links: LinksUrl,
    /// The file to which ids are added, eight bytes each, the lowest first
    #[arg(long)]
    out: PathBuf,
    /// Draws no faster than this
    #[arg(long, default_value_t = u64::MAX)]
    ids_per_s: u64,
    /// Stops by itself after so long
    #[arg(long, default_value_t = 600)]
    seconds_max: u64,
}

/// The link store, with its refusals counted a second time.
struct Witnessed {
    store: Arc<dyn Store>,
    refused: AtomicU64,
}

#[async_trait]
impl Claims for Witnessed {
    async fn claim(&self, block: Block, owner: Owner) -> Result<Claim, StoreError> {
        let claim = self.store.claim(block, owner).await;
        self.refused.fetch_add(u64::from(matches!(claim, Ok(Claim::Refused))), Ordering::Relaxed);
        claim
    }
    async fn hand_back(&self, block: Block, owner: Owner, first_unused: u64) -> Result<bool, StoreError> {
        self.store.hand_back(block, owner, first_unused).await
    }
    async fn pin_id_space(&self, id_space: &IdSpace) -> Result<Pinned, StoreError> {
        self.store.pin_id_space(id_space).await
    }
    async fn id_space(&self) -> Result<Option<IdSpace>, StoreError> {
        self.store.id_space().await
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::WARN)
        .with_writer(std::io::stderr)
        .init();
    let cli = Cli::parse();
    let recorded = PrometheusBuilder::new().install_recorder()?;
    let mut stop = signal(SignalKind::terminate())?;
    let claims = Arc::new(Witnessed { store: open(&cli.links).await?, refused: AtomicU64::new(0) });
    let leases = Arc::new(client(&cli)?);
    let Some(id_space) = id_space(&leases, &mut stop).await else { return Ok(()) };
    if let Pinned::Theirs(theirs) = claims.pin_id_space(&id_space).await? {
        bail!("the claims belong to another id space, {theirs}");
    }
    let codec = Arc::new(Codec::new(&id_space));
    let allocator = Allocator::start(leases, claims.clone(), codec, allocator::Options::default());

    let drawn = draw(&cli, &allocator, &claims, &recorded, &mut stop).await?;
    allocator.close().await?;
    let end = Drawn { closed: true, ..counts(drawn, &claims, &recorded)? };
    println!("{}", serde_json::to_string(&end)?);
    Ok(())
}

async fn open(links: &LinksUrl) -> Result<Arc<dyn Store>> {
    Ok(match links {
        LinksUrl::Sqlite(url) => Arc::new(SqliteStore::open(&url.path(Path::new("."), "links.db")).await?),
        LinksUrl::Scylla(url) => {
            let options = CqlOptions { request_timeout: CLAIM_TIMEOUT, ..CqlOptions::new(url.clone()) };
            Arc::new(ScyllaStore::open(&options).await?)
        }
    })
}

fn client(cli: &Cli) -> Result<HttpLeases> {
    let urls = cli.leases.iter().map(|url| url.parse()).collect::<Result<_, _>>()?;
    let secret = env::var("SEPTET_TOKEN_SERVICE_SECRET").context("SEPTET_TOKEN_SERVICE_SECRET is not set")?;
    let secret = Some(Secret::parse(&secret)?);
    Ok(HttpLeases::new(ClientOptions { secret, ..ClientOptions::new(urls) })?)
}

/// Asked for until it is answered or the process is to stop.
async fn id_space(leases: &HttpLeases, stop: &mut Signal) -> Option<IdSpace> {
    loop {
        tokio::select! {
            _ = stop.recv() => return None,
            id_space = leases.id_space() => match id_space {
                Ok(id_space) => return Some(id_space),
                Err(_) => sleep(ID_WAIT).await,
            }
        }
    }
}

/// Draws until it is told to stop. How many ids were written.
async fn draw(
    cli: &Cli,
    allocator: &Allocator,
    claims: &Witnessed,
    recorded: &PrometheusHandle,
    stop: &mut Signal,
) -> Result<Drawn> {
    let mut file = OpenOptions::new().create(true).append(true).open(&cli.out)?;
    let begun = Instant::now();
    let mut drawn = Drawn::default();
    let mut print_at = begun;
    let mut ids = Vec::with_capacity(IDS_AT_ONCE);
    loop {
        match allocator.take_or_wait(ID_WAIT).await {
            Ok(ready) if ids.len() + 1 < IDS_AT_ONCE => {
                ids.push(ready.id);
                continue;
            }
            Ok(ready) => ids.push(ready.id),
            Err(NoCodes::Exhausted) => drawn.waits_in_vain += 1,
            Err(NoCodes::Closed) => bail!("the allocator has closed by itself"),
        }
        drawn.ids += ids.len() as u64;
        write(&mut file, &mut ids)?;
        let now = Instant::now();
        if now >= print_at {
            drawn = counts(drawn, claims, recorded)?;
            println!("{}", serde_json::to_string(&drawn)?);
            print_at = now + PRINT_INTERVAL;
        }
        if now - begun > Duration::from_secs(cli.seconds_max) {
            return Ok(drawn);
        }
        let due = begun + Duration::from_secs_f64(drawn.ids as f64 / cli.ids_per_s as f64);
        // A timer is as exact as a millisecond: it is set when there are some to wait for.
        let pause = if due > now + PAUSE_MIN { sleep_until(due).boxed() } else { yield_now().boxed() };
        tokio::select! {
            biased;
            _ = stop.recv() => return Ok(drawn),
            () = pause => {}
        }
    }
}

fn write(file: &mut File, ids: &mut Vec<u64>) -> Result<()> {
    let bytes: Vec<u8> = ids.drain(..).flat_map(u64::to_le_bytes).collect();
    file.write_all(&bytes).context("the ids cannot be written")
}

fn counts(drawn: Drawn, claims: &Witnessed, recorded: &PrometheusHandle) -> Result<Drawn> {
    let rendered = recorded.render();
    let counted = rendered.lines().find_map(|line| line.strip_prefix(BLOCKS_REFUSED)?.trim().parse().ok());
    let refusals_seen = claims.refused.load(Ordering::Relaxed);
    Ok(Drawn { refusals_seen, refusals_counted: counted.unwrap_or(0), ..drawn })
}
