//! A `septet-analytics` process, and the topic that it counts.

use std::{net::SocketAddr, path::Path, time::Duration};

use analytics::{
    click::{Click, LogId, Place},
    client::{ClientOptions, HttpQueries},
    kafka::event::Event,
    secret::Secret,
};
use rdkafka::{
    ClientConfig,
    producer::{BaseProducer, BaseRecord, Producer},
};

use crate::{binary, engines::unique_name, process::Launch};

/// The secret that askers and services share in tests.
pub const SECRET: &str = "a-secret-for-tests-that-nobody-guesses";

/// How long Kafka may take to take a few thousand records.
const FLUSH_LIMIT: Duration = Duration::from_secs(20);

/// A topic of a test's own; it is not made by this.
#[derive(Debug, Clone)]
pub struct Topic {
    /// `host:port`
    pub bootstrap: String,
    pub name: String,
}

impl Topic {
    /// One with a name that nobody else has, at a Kafka.
    pub fn new(bootstrap: &str) -> Self {
        Topic { bootstrap: bootstrap.to_owned(), name: unique_name("clicks") }
    }

    /// What `--clicks` is set to.
    pub fn url(&self) -> String {
        format!("kafka://{}/{}", self.bootstrap, self.name)
    }

    /// Produces events, each to the partition of its link, and returns when they are there.
    ///
    /// # Panics
    /// When they are not.
    pub fn produce(&self, events: &[Event]) {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.bootstrap).set("enable.idempotence", "true");
        let producer: BaseProducer = config.create().expect("a producer");
        for event in events {
            let payload = event.encode();
            let key = match event {
                Event::Click(click) => click.link.to_be_bytes(),
                Event::LogEnded(log) => log.0.to_be_bytes(),
            };
            producer.send(BaseRecord::to(&self.name).key(&key).payload(&payload)).expect("room for a record");
        }
        producer.flush(FLUSH_LIMIT).expect("everything acknowledged");
    }
}

/// A click of a person from nowhere in particular; the log's name and the offset make it the one it is.
pub fn click(log: u64, offset: u64, link: u64, at_ms: i64) -> Event {
    let unknown = || "".into();
    Event::Click(Click {
        log: LogId(log),
        offset,
        at_ms,
        link,
        visitor: offset,
        bot: false,
        place: Place { country: "DE".into(), ..Place::default() },
        browser: "Firefox".into(),
        os: unknown(),
        device: unknown(),
        referer: unknown(),
    })
}

/// A service that counts `topic` into a file in `directory`, any two free ports, [`SECRET`]; `directory` outlives it.
pub fn launch(topic: &Topic, directory: &Path) -> Launch {
    Launch::new(binary::analytics(), directory)
        .flag("--listen", "127.0.0.1:0")
        .flag("--ops-listen", "127.0.0.1:0")
        .flag("--clicks", topic.url())
        .flag("--group", format!("group-{}", topic.name))
        .flag("--rollups", format!("sqlite:{}", directory.join("rollups.db").display()))
        .flag("--replication-factor", "1")
        .flag("--partitions", "4")
        .env("SEPTET_ANALYTICS_SECRET", SECRET)
}

/// Makes the tables and the topic.
///
/// # Panics
/// When that fails.
pub fn migrate(launch: &Launch) {
    let migrated = launch.run_to_end("migrate");
    assert!(migrated.status.success(), "{}", migrated.stderr_text());
}

/// Asks the services at these addresses, as an instance does.
///
/// # Panics
/// When there are none.
pub fn client(addresses: &[SocketAddr]) -> HttpQueries {
    let urls = addresses.iter().map(|address| format!("http://{address}").parse().expect("an address makes a URL"));
    let secret = Some(Secret::parse(SECRET).expect("it is long enough"));
    let options = ClientOptions { secret, ..ClientOptions::new(urls.collect()) };
    HttpQueries::new(options).expect("at least one address")
}
