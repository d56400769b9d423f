//! What a look into the cache costs: `cargo run --release -p septet --example cache [links]`.
//!
//! Links are cached by the way that a redirect takes; then looked up at random by one thread and by several, and all at
//! the same one. Each figure is the best of a few rounds, as others use the machine too.

use std::{
    env, fs,
    hint::black_box,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use rand::{RngExt, SeedableRng, rngs::SmallRng};
use shortener::{
    code::Codec,
    destination::{Destination, Home},
    key::{Domain, Key},
    link::{ExternalId, Link, LinkId, RedirectStatus},
    redirect::cache::{Cache, CacheSettings},
    store::{Archived, Created, Creation, Links, Listing, Replaced, StoreError},
};
use token_service::IdSpace;
use tokio::runtime::Runtime;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const LOOKS: u32 = 2_000_000;
const ROUNDS: usize = 5;
const THREADS: usize = 2;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let links: u64 = env::args().nth(1).map_or(Ok(1_000_000), |links| links.parse())?;
    let codec = Codec::new(&IdSpace::new([7; 32]));
    let keys: Vec<Key> = (0..).filter_map(|id| codec.encode(id)).take(links as usize).map(Key::Code).collect();
    let runtime = Runtime::new()?;
    let settings = CacheSettings { max_bytes: 1 << 30, ttl: Duration::from_secs(1 << 30), ..CacheSettings::default() };
    let cache = Cache::new(Arc::new(AnyLink::default()), settings, runtime.handle().clone());

    let before_bytes = resident_bytes()?;
    runtime.block_on(async {
        for key in &keys {
            black_box(cache.resolve(key, 0).await).expect("the store answers");
        }
    });
    let each = (resident_bytes()? - before_bytes) as f64 / links as f64;
    println!("{each:.1} bytes for each of {links} links; {:?}", cache.size());

    let one = [&keys[0]];
    let all: Vec<&Key> = keys.iter().collect();
    for (name, keys, threads) in [
        ("any, 1 thread", &all[..], 1),
        ("one, 1 thread", &one, 1),
        ("any, 2 threads", &all, THREADS),
        ("one, 2 threads", &one, THREADS),
    ] {
        let best = (0..ROUNDS).map(|_| look(&cache, keys, threads)).min().expect("a round");
        println!("{name}: {:.0} ns", best.as_nanos() as f64 / f64::from(LOOKS));
    }
    Ok(())
}

/// How long it takes each of so many threads to look up [`LOOKS`] of the keys.
fn look(cache: &Cache, keys: &[&Key], threads: usize) -> Duration {
    let begun = Instant::now();
    thread::scope(|scope| {
        for thread in 0..threads {
            scope.spawn(move || {
                let mut random = SmallRng::seed_from_u64(thread as u64);
                for _ in 0..LOOKS {
                    let key = keys[random.random_range(0..keys.len())];
                    black_box(cache.fresh(key, 1)).expect("it is cached");
                }
            });
        }
    });
    begun.elapsed()
}

fn resident_bytes() -> Result<i64, Box<dyn std::error::Error>> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).ok_or("no RssAnon")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<i64>()? * 1024)
}

/// A store with a link under every key, each to a URL of 77 bytes.
#[derive(Default)]
struct AnyLink(AtomicU64);

#[async_trait]
impl Links for AnyLink {
    async fn by_key(&self, domain: &Domain, key: &Key) -> Result<Option<Link>, StoreError> {
        let home = Home::parse("http://localhost").expect("a home");
        let url = format!("https://www.example.com/products/summer/{}?utm_source=newsletter-week-47", key.as_str());
        Ok(Some(Link {
            id: LinkId(self.0.fetch_add(1, Ordering::Relaxed)),
            domain: domain.clone(),
            key: key.clone(),
            url: Destination::parse(&url, &home).expect("a destination"),
            external_id: None,
            expires_at_ms: None,
            expired_url: None,
            title: None,
            comments: None,
            archived: false,
            redirect_status: RedirectStatus::Found,
            created_at_ms: 0,
            updated_at_ms: 0,
            revision: 1,
        }))
    }

    async fn create(&self, _: Creation) -> Result<Created, StoreError> {
        unreachable!("a redirect only reads by key")
    }

    async fn by_id(&self, _: LinkId) -> Result<Option<Link>, StoreError> {
        unreachable!("a redirect only reads by key")
    }

    async fn by_ids(&self, _: &[LinkId]) -> Result<Vec<Link>, StoreError> {
        unreachable!("a redirect only reads by key")
    }

    async fn by_external_id(&self, _: &ExternalId) -> Result<Option<Link>, StoreError> {
        unreachable!("a redirect only reads by key")
    }

    async fn list(&self, _: &Listing) -> Result<Vec<Link>, StoreError> {
        unreachable!("a redirect only reads by key")
    }

    async fn count(&self, _: Archived) -> Result<u64, StoreError> {
        unreachable!("a redirect only reads by key")
    }

    async fn replace(&self, _: &Link, _: &Link) -> Result<Replaced, StoreError> {
        unreachable!("a redirect only reads by key")
    }

    async fn delete(&self, _: LinkId) -> Result<Option<Link>, StoreError> {
        unreachable!("a redirect only reads by key")
    }
}
