//! What the tests share: engines that pods reach, and a release on them.

use std::{
    ops::{Deref, DerefMut},
    sync::{
        OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use septet_tests::engines::{Engine, cassandra::Cassandra, kafka::Kafka, mariadb::MariaDb};
use serde_json::{Value, json};
use token_service::{
    Account, LeaseRecords, Leases,
    mysql::{MysqlLeases, MysqlOptions},
};
use tokio::{
    sync::{Mutex, MutexGuard},
    task::block_in_place,
};

use crate::{
    release::{Release, merged},
    say,
};

/// Engines of this run's own, which may be killed and frozen.
pub struct Engines {
    pub mariadb: MariaDb,
    pub kafka: Kafka,
    cassandra: Cassandra,
}

impl Engines {
    fn start() -> Self {
        thread::scope(|scope| {
            let (mariadb, kafka) = (scope.spawn(MariaDb::start), scope.spawn(Kafka::start));
            let cassandra = Cassandra::start();
            let joined = "it says itself why it did not start";
            Self { mariadb: mariadb.join().expect(joined), kafka: kafka.join().expect(joined), cassandra }
        })
    }

    /// What became of every block of ids.
    ///
    /// # Panics
    /// When the database does not answer.
    pub async fn account(&self) -> Account {
        let url = self.mariadb.url().parse().expect("a URL");
        let leases = MysqlLeases::new(&url, MysqlOptions::default());
        let account = leases.account().await.expect("an account");
        leases.close().await;
        account
    }

    /// The values of a release on them. They share a small machine with all the rest, so that Cassandra may be slow for a second while pods start:
    /// it is waited for, as its speed is not what is tested here.
    pub fn values(&self) -> Value {
        json!({
            "links": {"url": format!("scylla://{}/septet", self.cassandra.contact_point()), "timeoutMs": 5_000},
            "kafka": {"url": format!("kafka://{}/septet-clicks", self.kafka.bootstrap())},
            "secrets": {"database": {"value": self.mariadb.url()}},
            "tokenService": {"replicas": 1},
            "analytics": {
                "replicas": 1,
                "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "384Mi"}},
            },
            "migrations": {"replicationFactor": 1, "partitions": 8},
        })
    }
}

/// The engines, a release with two shorteners, and how its installation went.
pub struct World {
    pub engines: Engines,
    pub release: Release,
    /// From `helm install` to its end.
    pub installed_within: Duration,
    /// From `helm install` to the first redirect.
    pub redirected_within: Duration,
}

/// The world, in the hands of one test.
pub struct Turn(MutexGuard<'static, World>);

/// A test that failed has left the world in whatever state.
static IS_SPOILT: AtomicBool = AtomicBool::new(false);

impl Deref for Turn {
    type Target = World;

    fn deref(&self) -> &World {
        &self.0
    }
}

impl DerefMut for Turn {
    fn deref_mut(&mut self) -> &mut World {
        &mut self.0
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        IS_SPOILT.fetch_or(thread::panicking(), Ordering::Relaxed);
    }
}

/// For one test at a time, made by the first.
///
/// # Panics
/// When something does not start, or a test before has failed with it.
pub async fn world() -> Turn {
    static WORLD: OnceLock<Mutex<World>> = OnceLock::new();
    assert!(!IS_SPOILT.load(Ordering::Relaxed), "not tried, after what failed before");
    if WORLD.get().is_none() {
        let made = World::make().await;
        assert!(WORLD.set(Mutex::new(made)).is_ok(), "tests run one after the other");
    }
    Turn(WORLD.get().expect("made above").lock().await)
}

impl World {
    async fn make() -> Self {
        let begun = Instant::now();
        let engines = block_in_place(Engines::start);
        say(&format!("MariaDB, Kafka and Cassandra: {:.1} s", begun.elapsed().as_secs_f64()));
        let begun = Instant::now();
        let release = Release::install("cluster", &engines.values());
        let installed_within = begun.elapsed();
        let client = release.client();
        let link = client.link_to("https://example.com/first").await;
        assert_eq!(client.peek(&link.key).await.status, 302);
        Self { engines, release, installed_within, redirected_within: begun.elapsed() }
    }

    /// Installs another release on the same engines.
    pub fn another(&self, name: &str, values: &Value) -> Release {
        let prepared = merged(self.engines.values(), &json!({"migrations": {"enabled": false}}));
        Release::install(name, &merged(prepared, values))
    }
}
