//! A store behind guards: it is still a store, whatever happens to the one inside.

use std::{sync::Arc, time::Duration};

use analytics::enrich::visitor::Salt;
use async_trait::async_trait;
use futures::{
    FutureExt,
    future::{join_all, pending},
};
use parking_lot::Mutex;
use proptest::prelude::*;
use token_service::{Block, Owner};
use tokio::{runtime::Handle, time::Instant};
use uuid::Uuid;

use super::*;
use crate::{
    key::{Alias, Domain, Key},
    link::{ExternalId, LinkId},
    redirect::{
        cache::{Cache, CacheSettings},
        moody_store::{Mood, MoodyStore},
    },
    store::{
        ApiKey, ApiKeyDigest, ApiKeys, Archived, Claims, Creation, Links, Listing, VisitorSalts,
        conformance::{self, Harness},
        sqlite::SqliteStore,
    },
};

/// The embedded store, behind all guards.
struct Embedded {
    dir: tempfile::TempDir,
    store: Arc<dyn Store>,
}

impl Embedded {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = guarded(&dir).await;
        Embedded { dir, store }
    }
}

/// With all the time that a busy machine may take: the suite asks what comes back, not when.
async fn guarded(dir: &tempfile::TempDir) -> Arc<dyn Store> {
    let timeouts = TimeoutSettings { call_timeout: Duration::from_secs(60), ..TimeoutSettings::default() };
    Arc::new(around(open(dir).await, &Settings { timeouts, ..Settings::default() }))
}

async fn open(dir: &tempfile::TempDir) -> SqliteStore {
    SqliteStore::open(&dir.path().join("links.db")).await.unwrap()
}

#[async_trait]
impl Harness for Embedded {
    fn store(&self) -> Arc<dyn Store> {
        self.store.clone()
    }

    async fn reopen(&mut self) {
        self.store.close().await;
        self.store = guarded(&self.dir).await;
    }
}

crate::store_conformance!(Embedded::new().await);

/// Refuses everything, and remembers what.
#[derive(Default)]
struct Wall(Arc<Mutex<Vec<Call>>>);

impl Guard for Wall {
    async fn around<T: Send>(
        &self,
        call: Call,
        _: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        self.0.lock().push(call);
        Err(StoreError::Overloaded)
    }
}

/// The embedded store has none of them.
struct NoSalts;

#[async_trait]
impl VisitorSalts for NoSalts {
    async fn visitor_salt(&self, _: u32, fresh: Salt) -> Result<Salt, StoreError> {
        Ok(fresh)
    }
}

/// Seen to fail when a method went past the guard, and when one was taken for another.
#[tokio::test]
async fn every_call_goes_through_the_guard() {
    let dir = tempfile::tempdir().unwrap();
    let seen = Arc::<Mutex<Vec<Call>>>::default();
    let store = Guarded::new(Wall(seen.clone()), open(&dir).await);
    let link = conformance::aliased(1, "any");
    let salts = Guarded::new(Wall(seen.clone()), NoSalts);
    let external_id = ExternalId::parse("any").unwrap();
    let digest = ApiKeyDigest::of("any");
    let key = ApiKey { id: Uuid::new_v4(), digest, name: "any".into(), created_at_ms: 0 };
    let (block, owner) = (Block(1), Owner::random());
    let refused = [
        store.create(Creation { link: link.clone(), idempotency: None }).await.is_err(),
        store.by_key(&Domain::default(), &link.key).await.is_err(),
        store.by_id(LinkId(1)).await.is_err(),
        store.by_ids(&[LinkId(1)]).await.is_err(),
        store.by_external_id(&external_id).await.is_err(),
        store.list(&Listing { limit: 1, ..Listing::default() }).await.is_err(),
        store.count(Archived::Include).await.is_err(),
        store.replace(&link, &link).await.is_err(),
        store.delete(LinkId(1)).await.is_err(),
        store.claim(block, owner).await.is_err(),
        store.hand_back(block, owner, block.end_id()).await.is_err(),
        store.pin_id_space(&conformance::ID_SPACE).await.is_err(),
        store.id_space().await.is_err(),
        store.put_api_key(&key).await.is_err(),
        store.put_first_api_key(&key).await.is_err(),
        store.api_key(&digest).await.is_err(),
        salts.visitor_salt(1, [0; 32]).await.is_err(),
    ];
    assert_eq!(refused, [true; 17]);
    assert_eq!(*seen.lock(), Call::ALL);
    store.close().await;
    // The store inside was closed, and nothing but the end is left of it.
    store.ended().await;
}

/// A call that the store never answers.
async fn hung<G: Guard>(guard: &G, call: Call) -> StoreError {
    guard.around(call, pending::<Result<(), _>>()).await.unwrap_err()
}

/// Seen to fail when the breaker was outside of the limit, as it then opened on what the limit had refused, and when the
/// deadlines were outside of the breaker, as it then never learned of them.
#[tokio::test(start_paused = true)]
async fn a_store_that_hangs_costs_a_deadline_and_then_nothing() {
    let settings = Settings::default();
    let guards = guards(&settings);
    let begun = Instant::now();
    // More at once than may be under way: the rest is refused at once.
    let calls = join_all((0..3_000).map(|_| async {
        let error = hung(&guards, Call::ByKey).await;
        (matches!(error, StoreError::Overloaded), begun.elapsed())
    }));
    let ended = calls.await;
    let shed = ended.iter().filter(|(shed, _)| *shed).count();
    assert_eq!(shed, 3_000 - settings.limits.look_ups_max);
    assert!(ended.iter().all(|(shed, at)| at.is_zero() == *shed && *at <= settings.timeouts.call_timeout));
    // From then on nothing waits, nor is anything in the way of the other kinds.
    let begun = Instant::now();
    assert!(matches!(hung(&guards, Call::ByKey).await, StoreError::Unavailable(_)));
    assert!(begun.elapsed().is_zero());
    assert!(guards.around(Call::Create, async { Ok(()) }).await.is_ok());
    // And it is over when it is over.
    tokio::time::advance(settings.breaker.pause_max).await;
    for _ in 0..100 {
        guards.around(Call::ByKey, async { Ok(()) }).await.unwrap();
    }
}

/// Seen to fail with the breaker outside of the limit.
#[tokio::test(start_paused = true)]
async fn what_the_limit_refuses_opens_no_circuit() {
    let guards = guards(&Settings::default());
    let held: Vec<_> = (0..Settings::default().limits.requests_max)
        .map(|_| {
            let mut call = Box::pin(guards.around(Call::Create, pending::<Result<(), _>>()));
            assert!((&mut call).now_or_never().is_none());
            call
        })
        .collect();
    for _ in 0..1_000 {
        assert!(matches!(hung(&guards, Call::Create).await, StoreError::Overloaded));
    }
    drop(held);
    guards.around(Call::Create, async { Ok(()) }).await.unwrap();
}

const URL: &str = "https://example.com/";

#[derive(Debug, Clone)]
enum Step {
    Mood(Mood),
    /// Redirects of so many keys at once, and time that passes meanwhile.
    Redirects(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let mood = prop_oneof![Just(Mood::Answers), Just(Mood::Fails), Just(Mood::Waits)];
    prop_oneof![1 => mood.prop_map(Step::Mood), 3 => (0u64..3_000).prop_map(Step::Redirects)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// A store that holds every link, and is well or ill as it likes: no redirect ever hears that there is no such link, and all
    /// is well again soon after the store is. Seen to fail when an error of a look-up was answered `Ok(None)`, and with a pause of 20 s.
    #[test]
    fn a_store_that_is_down_is_never_a_missing_link(steps in prop::collection::vec(step(), 1..30)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let store = MoodyStore::new(URL);
            let mood = store.mood.clone();
            let guarded = Guarded::new(guards(&Settings::default()), store);
            let cache = Cache::new(Arc::new(guarded), CacheSettings::default(), Handle::current());
            let begun = Instant::now();
            let redirects = async |count: u64| {
                let uptime_ms = begun.elapsed().as_millis() as i64;
                let keys = (0..count).map(|number| Key::Alias(Alias::parse(&format!("{uptime_ms}-{number}")).unwrap()));
                let resolved = keys.map(async |key| cache.resolve(&key, uptime_ms).await.map(|found| found.is_some()));
                join_all(resolved).await
            };
            for step in steps {
                match step {
                    Step::Mood(next) => drop(mood.send_replace(next)),
                    Step::Redirects(ms) => {
                        for found in redirects(30).await.into_iter().flatten() {
                            prop_assert!(found);
                        }
                        tokio::time::advance(Duration::from_millis(ms)).await;
                    }
                }
            }
            mood.send_replace(Mood::Answers);
            tokio::time::advance(Duration::from_secs(3)).await;
            redirects(3).await;
            tokio::time::advance(Duration::from_millis(1)).await;
            prop_assert!(redirects(100).await.into_iter().all(|found| matches!(found, Ok(true))));
            Ok(())
        })?;
    }
}
