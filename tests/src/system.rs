//! The whole system on this machine: MariaDB, Kafka and Cassandra, and two each of token services, analytics services and shorteners.

use std::{net::SocketAddr, path::Path, thread};

use tempfile::TempDir;

use crate::{
    analytics_service, binary,
    client::Client,
    engines::{Engine, cassandra::Cassandra, kafka::Kafka, mariadb::MariaDb},
    process::Launch,
    restartable::Restartable,
    septet::API_KEY,
    token_service,
};

/// How many there are of each service.
pub const EACH: usize = 2;
/// The partitions of the topic of clicks.
const PARTITIONS: u32 = 8;
const KEYSPACE: &str = "septet";
const TOPIC: &str = "septet-clicks";

/// What can be killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Part {
    MariaDb,
    Kafka,
    Cassandra,
    TokenService(usize),
    Analytics(usize),
    Shortener(usize),
}

impl Part {
    /// Every part, the engines first: in this order they can be started.
    pub fn all() -> Vec<Part> {
        let engines = [Part::MariaDb, Part::Kafka, Part::Cassandra];
        let of = |part: fn(usize) -> Part| (0..EACH).map(part);
        engines
            .into_iter()
            .chain(of(Part::TokenService))
            .chain(of(Part::Analytics))
            .chain(of(Part::Shortener))
            .collect()
    }
}

/// All of it, running. What is dropped first goes first.
pub struct System {
    shorteners: Vec<Restartable>,
    analytics: Vec<Restartable>,
    tokens: Vec<Restartable>,
    cassandra: Cassandra,
    kafka: Kafka,
    mariadb: MariaDb,
    _directory: TempDir,
}

impl System {
    /// Starts everything, each service once what it needs is there. `say` hears of each step.
    ///
    /// # Panics
    /// When something does not start.
    pub fn start(say: impl Fn(&str)) -> Self {
        let directory = tempfile::tempdir().expect("a directory for temporary files");
        say("starting MariaDB, Kafka and Cassandra");
        let (mariadb, kafka, cassandra) = thread::scope(|scope| {
            let (mariadb, kafka) = (scope.spawn(MariaDb::start), scope.spawn(Kafka::start));
            let cassandra = Cassandra::start();
            (joined(mariadb.join()), joined(kafka.join()), cassandra)
        });
        let place = |name: &str, number: usize| {
            let place = directory.path().join(format!("{name}-{number}"));
            std::fs::create_dir(&place).expect("a directory");
            place
        };
        say("preparing tables and topics");
        let tokens = |number| token_service::launch(&mariadb.url(), &place("tokens", number)).allow_log("");
        let tokens: Vec<_> = (0..EACH).map(|number| Restartable::new(tokens(number))).collect();
        let addresses = |services: &[Restartable]| services.iter().map(Restartable::address).collect::<Vec<_>>();
        let keyspace = format!("scylla://{}/{KEYSPACE}", cassandra.contact_point());
        let topic = format!("kafka://{}/{TOPIC}", kafka.bootstrap());
        let analytics = |number| counting(&keyspace, &topic, &place("analytics", number));
        let analytics: Vec<_> = (0..EACH).map(|number| Restartable::new(analytics(number))).collect();
        let urls = Urls {
            links: &keyspace,
            clicks: &topic,
            leases: &token_service::urls(&addresses(&tokens)),
            analytics: &token_service::urls(&addresses(&analytics)),
        };
        let shorteners = (0..EACH).map(|number| Restartable::new(shortening(&urls, &place("shortener", number))));
        let mut shorteners: Vec<_> = shorteners.collect();
        // One for both: links are the cluster's.
        let public_url = format!("http://{}", shorteners[0].address());
        shorteners.iter_mut().for_each(|shortener| shortener.change(|launch| launch.flag("--public-url", &public_url)));
        for service in [&tokens[0], &shorteners[0], &analytics[0]] {
            let migrated = service.launch().run_to_end_within("migrate", MIGRATED_WITHIN);
            assert!(migrated.status.success(), "{}", migrated.stderr_text());
        }
        let mut system = System { shorteners, analytics, tokens, cassandra, kafka, mariadb, _directory: directory };
        say("starting two token services, two analytics services and two shorteners");
        for part in Part::all().into_iter().skip(3) {
            system.start_part(part);
        }
        system
    }

    /// Where a shortener serves.
    pub fn shortener(&self, number: usize) -> SocketAddr {
        self.shorteners[number].address()
    }

    /// A client of a shortener.
    pub fn client(&self, number: usize) -> Client {
        Client::new(self.shortener(number), API_KEY)
    }

    /// What a shortener says of itself.
    pub async fn shortener_metric(&self, number: usize, name: &str) -> f64 {
        self.shorteners[number].running().metric(name).await
    }

    /// Where everything is, for people.
    pub fn places(&self) -> Vec<(&'static str, Vec<String>)> {
        let http =
            |services: &[Restartable]| services.iter().map(|service| format!("http://{}", service.address())).collect();
        vec![
            ("shorteners", http(&self.shorteners)),
            ("analytics", http(&self.analytics)),
            ("token services", http(&self.tokens)),
            ("Cassandra", vec![self.cassandra.contact_point()]),
            ("Kafka", vec![self.kafka.bootstrap()]),
            ("MariaDB", vec![self.mariadb.url()]),
        ]
    }

    /// `kill -9`.
    pub fn kill(&mut self, part: Part) {
        match part {
            Part::MariaDb => self.mariadb.kill(),
            Part::Kafka => self.kafka.kill(),
            Part::Cassandra => self.cassandra.kill(),
            Part::TokenService(number) => self.tokens[number].kill(),
            Part::Analytics(number) => self.analytics[number].kill(),
            Part::Shortener(number) => self.shorteners[number].kill(),
        }
    }

    /// Starts a part after it was killed, on the same data and ports. A service is not waited for: what it needs may be away.
    pub fn start_part(&mut self, part: Part) {
        match part {
            Part::MariaDb => self.mariadb.start_again(),
            Part::Kafka => self.kafka.start_again(),
            Part::Cassandra => self.cassandra.start_again(),
            Part::TokenService(number) => self.tokens[number].start_unready(),
            Part::Analytics(number) => self.analytics[number].start_unready(),
            Part::Shortener(number) => self.shorteners[number].start_unready(),
        }
    }

    /// Whether every service says that it is ready.
    pub fn is_ready(&self) -> bool {
        let services = self.tokens.iter().chain(&self.analytics).chain(&self.shorteners);
        services.map(Restartable::running).all(|running| running.is_ready())
    }
}

impl Drop for System {
    /// In order, so that nobody waits for what is gone.
    fn drop(&mut self) {
        let services = self.shorteners.iter_mut().chain(&mut self.analytics).chain(&mut self.tokens);
        services.for_each(Restartable::kill);
    }
}

/// How long tables and topics may take on a small machine.
const MIGRATED_WITHIN: std::time::Duration = std::time::Duration::from_secs(120);

struct Urls<'a> {
    links: &'a str,
    clicks: &'a str,
    leases: &'a str,
    analytics: &'a str,
}

fn counting(keyspace: &str, topic: &str, directory: &Path) -> Launch {
    Launch::new(binary::analytics(), directory)
        .flag("--clicks", topic)
        .flag("--rollups", keyspace)
        .flag("--replication-factor", "1")
        .flag("--partitions", PARTITIONS.to_string())
        // What it needs is killed under it.
        .allow_log("")
        .env("SEPTET_ANALYTICS_SECRET", analytics_service::SECRET)
}

fn shortening(urls: &Urls<'_>, directory: &Path) -> Launch {
    Launch::new(binary::septet(), directory)
        .flag("--data-dir", directory)
        .flag("--links", urls.links)
        .flag("--leases", urls.leases)
        .flag("--clicks", urls.clicks)
        .flag("--analytics", urls.analytics)
        .flag("--replication-factor", "1")
        .flag("--partitions", PARTITIONS.to_string())
        .flag("--api-key", API_KEY)
        .allow_log("")
        .env("SEPTET_TOKEN_SERVICE_SECRET", token_service::SECRET)
        .env("SEPTET_ANALYTICS_SECRET", analytics_service::SECRET)
}

fn joined<T>(ended: thread::Result<T>) -> T {
    ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}
