//! Changes of links, told to every instance: through one Kafka topic, which each instance reads whole, from now on.
//!
//! An instance that changes a link drops its key from its own cache, and tells the others ([`Teller`]), who do the same. So that nobody relies on a stream
//! that has broken off, each instance also tells itself, twice a second, that it is there: a [beat](event::Event::Beat). What comes back says that
//! everything which was told before has been heard. Without one for two seconds, links are believed for [two seconds](crate::redirect::cache) only.
//!
//! A beat says nothing of the others' way to Kafka: what an instance changes that is itself cut off from it, others see when it is back, or when their
//! caches have had their time.
//!
//! # Limits
//! | limit | when it is reached | metric |
//! |---|---|---|
//! | [`TOLD_WAITING_MAX`] changes that Kafka has not taken | one more is not told: others see it when their cache has had its time | `septet_changes_untold_total` |
//! | a change waits for [`TOLD_WITHIN`] at most, or as long as links are cached | the same, as the cache has had it | `septet_changes_untold_total` |

mod event;
mod listener;
mod teller;

use std::sync::Arc;

use analytics::kafka::{KafkaOptions, topic::TopicSettings};

use self::listener::Listener;
pub use self::teller::Teller;
use crate::{key::Key, redirect::cache::Cache};

/// Changes that wait to be told, at most.
pub const TOLD_WAITING_MAX: u32 = 100_000;
/// How long one may wait, where caches do not keep links for longer: by then every cache has had its time.
pub const TOLD_WITHIN: std::time::Duration = std::time::Duration::from_secs(60);

/// How the topic is made. One partition, so that what is told by one is heard in its order; an hour, as nobody reads what was before it came.
pub fn topic_settings(replication_factor: u32) -> TopicSettings {
    TopicSettings { partitions: 1, replication_factor, retention_ms: 60 * 60 * 1000 }
}

/// What is done when a link was changed here: nothing waits for it.
#[derive(Clone)]
pub struct Changes {
    cache: Arc<Cache>,
    teller: Option<Teller>,
}

impl Changes {
    /// Of an instance that has its links for itself, or cannot tell others.
    pub fn unheard(cache: Arc<Cache>) -> Self {
        Changes { cache, teller: None }
    }

    /// A link was made under this key, or changed, or is gone.
    pub fn changed(&self, key: &Key) {
        self.cache.invalidate(key);
        // Nobody can have asked for a code before it was made, but by guessing one of 62^7.
        if let Some(teller) = &self.teller {
            teller.changed(key);
        }
    }

    /// A link was made under this key.
    pub fn made(&self, key: &Key) {
        match key {
            Key::Code(_) => self.cache.invalidate(key),
            Key::Alias(_) => self.changed(key),
        }
    }
}

/// Hears the others for as long as it is there.
pub struct Hearing {
    _listener: Listener,
    teller: Teller,
}

impl Hearing {
    /// Begins to listen, and to tell. Never waits for Kafka.
    pub fn start(options: &KafkaOptions, cache: Arc<Cache>) -> anyhow::Result<(Self, Changes)> {
        let teller = Teller::start(options, TOLD_WITHIN.max(cache.ttl()))?;
        let listener = Listener::start(options, teller.clone(), Arc::clone(&cache))?;
        let changes = Changes { cache, teller: Some(teller.clone()) };
        Ok((Hearing { _listener: listener, teller }, changes))
    }

    /// Tells what waits to be told, for a moment.
    pub fn finish(&self) {
        self.teller.finish();
    }
}
