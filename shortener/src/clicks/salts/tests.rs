//! Instances that agree on their visitors' salts, and what becomes of those that cannot.

use std::{collections::HashMap, future::pending};

use ::metrics::with_local_recorder;
use analytics::enrich::{EnrichSettings, salts::FileSalts, visitor::PERIOD_MS};
use async_trait::async_trait;
use metrics_exporter_prometheus::PrometheusBuilder;
use tempfile::TempDir;
use tokio::time::Instant;

use super::*;
use crate::store::StoreError;

/// In the middle of a period.
const NOW_MS: i64 = 100 * PERIOD_MS + PERIOD_MS / 2;

/// The store that instances share.
#[derive(Default)]
struct Shared(Mutex<(Mood, HashMap<u32, Salt>)>);

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Mood {
    #[default]
    Answers,
    Fails,
    Hangs,
}

impl Shared {
    fn be(&self, mood: Mood) {
        self.0.lock().0 = mood;
    }
}

#[async_trait]
impl VisitorSalts for Shared {
    async fn visitor_salt(&self, period: u32, fresh: Salt) -> Result<Salt, StoreError> {
        let mood = self.0.lock().0;
        match mood {
            Mood::Answers => Ok(*self.0.lock().1.entry(period).or_insert(fresh)),
            Mood::Fails => Err(StoreError::Unavailable("away".into())),
            Mood::Hangs => pending().await,
        }
    }
}

/// An instance on the store, and its folder.
struct Instance {
    upkeep: SaltUpkeep,
    _dir: TempDir,
}

impl Instance {
    fn on(shared: &Arc<Shared>) -> Self {
        Self::with(Some(shared.clone()))
    }

    fn with(shared: Option<Arc<dyn VisitorSalts>>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let salts = FileSalts::open(&dir.path().join("visitor-salts"), NOW_MS).unwrap();
        let enricher = Enricher::new(EnrichSettings::default(), salts).unwrap();
        Instance { upkeep: SaltUpkeep::new(Arc::new(Mutex::new(enricher)), shared), _dir: dir }
    }

    /// What a click in that period is hashed with.
    fn salt(&self, period: u32) -> Salt {
        self.upkeep.enricher.lock().salts().salt(period)
    }

    fn held(&self, period: u32) -> Option<Salt> {
        self.upkeep.enricher.lock().salts().held(period)
    }
}

/// Does `work`, and says how often it was counted that a salt stayed private.
fn privately(work: impl Future<Output = ()>) -> u64 {
    let recorder = PrometheusBuilder::new().build_recorder();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    with_local_recorder(&recorder, || runtime.block_on(work));
    let text = recorder.handle().render();
    let counted = text.lines().find_map(|line| line.strip_prefix("septet_visitor_salts_private_total "));
    counted.map_or(0, |count| count.parse().unwrap())
}

/// Seen to fail when the next period was not asked for.
#[test]
fn instances_agree_on_this_period_and_the_next() {
    let counted = privately(async {
        let shared = Arc::default();
        let (mut one, mut other) = (Instance::on(&shared), Instance::on(&shared));
        for instance in [&mut one, &mut other] {
            assert_eq!(instance.upkeep.round(NOW_MS).await, INTERVAL);
        }
        assert_eq!((one.salt(100), one.salt(101)), (other.salt(100), other.salt(101)));
        assert_ne!(one.salt(100), one.salt(101));
        // As the time goes on.
        let later_ms = NOW_MS + PERIOD_MS;
        one.upkeep.round(later_ms).await;
        other.upkeep.round(later_ms).await;
        assert_eq!((one.held(102), one.held(100)), (other.held(102), None));
        assert!(one.held(102).is_some());
    });
    assert_eq!(counted, 0);
}

/// Seen to fail when each failure was counted.
#[test]
fn a_store_that_is_away_is_spoken_of_once_and_asked_again_soon() {
    let counted = privately(async {
        let shared = Arc::<Shared>::default();
        shared.be(Mood::Fails);
        let mut instance = Instance::on(&shared);
        for _ in 0..5 {
            assert!(instance.upkeep.round(NOW_MS).await <= ASK_AGAIN_MAX);
        }
        // No click has come: nothing is lost yet.
        assert_eq!(instance.held(100), None);
        shared.be(Mood::Answers);
        assert_eq!(instance.upkeep.round(NOW_MS).await, INTERVAL);
        assert_eq!(instance.held(100), shared.0.lock().1.get(&100).copied());
        // What is agreed on outlasts the store.
        shared.be(Mood::Fails);
        instance.upkeep.round(NOW_MS).await;
        instance.upkeep.round(NOW_MS + PERIOD_MS).await;
    });
    assert_eq!(counted, 1);
}

/// Seen to fail when a new salt was offered in the place of the one in use.
#[test]
fn what_is_in_use_when_the_store_answers_becomes_the_salt_of_all() {
    privately(async {
        let shared = Arc::<Shared>::default();
        let (mut one, mut other) = (Instance::on(&shared), Instance::on(&shared));
        shared.be(Mood::Fails);
        one.upkeep.round(NOW_MS).await;
        let own = one.salt(100);
        shared.be(Mood::Answers);
        one.upkeep.round(NOW_MS).await;
        other.upkeep.round(NOW_MS).await;
        assert_eq!((one.salt(100), other.salt(100)), (own, own));
    });
}

/// Seen to fail when an answer that came too late was not counted.
#[test]
fn who_hears_of_it_too_late_goes_on_alone_until_the_period_ends() {
    let counted = privately(async {
        let shared = Arc::<Shared>::default();
        let (mut one, mut other) = (Instance::on(&shared), Instance::on(&shared));
        one.upkeep.round(NOW_MS).await;
        let own = other.salt(100);
        for _ in 0..3 {
            assert_eq!(other.upkeep.round(NOW_MS).await, INTERVAL);
        }
        assert_eq!(other.salt(100), own);
        assert_ne!(one.salt(100), own);
        assert_eq!(one.salt(101), other.salt(101));
    });
    assert_eq!(counted, 1);
}

/// Seen to fail with a limit of minutes.
#[tokio::test(start_paused = true)]
async fn a_start_does_not_wait_for_a_store_that_hangs() {
    let shared = Arc::<Shared>::default();
    shared.be(Mood::Hangs);
    let mut instance = Instance::on(&shared);
    let begun = Instant::now();
    instance.upkeep.begin().await;
    assert!(begun.elapsed() <= START_LIMIT + Duration::from_millis(10), "{:?}", begun.elapsed());
    // It goes on asking.
    shared.be(Mood::Answers);
    let asked = async {
        while shared.0.lock().1.len() < 2 {
            sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::select! {
        () = asked => {}
        never = instance.upkeep.keep() => match never {},
    }
    assert!(begun.elapsed() <= START_LIMIT + Duration::from_secs(1), "{:?}", begun.elapsed());
}

/// Seen to fail when salts were thrown away only where there are other instances.
#[tokio::test]
async fn an_instance_alone_throws_its_salts_away_and_asks_nobody() {
    let mut instance = Instance::with(None);
    instance.salt(100);
    assert_eq!(instance.upkeep.round(NOW_MS).await, INTERVAL);
    assert!(instance.held(100).is_some() && instance.held(101).is_none());
    instance.upkeep.round(NOW_MS + PERIOD_MS).await;
    assert_eq!(instance.held(100), None);
}
