//! A link store for the tests of redirects.

use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::{
    destination::Destination,
    key::{Domain, Key},
    link::{ExternalId, Link, LinkId},
    store::{Archived, Created, Creation, Links, Listing, Replaced, StoreError, conformance::aliased},
};

/// What the store does when it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    Answers,
    Waits,
    Fails,
}

/// A store that can be held up, broken and changed. Redirects only read it by key.
pub struct MoodyStore {
    pub mood: watch::Sender<Mood>,
    /// Where every link leads; `None`: there is no link.
    pub url: Mutex<Option<&'static str>>,
    /// Every link has expired, and leads there, or nowhere.
    pub expired: Mutex<Option<Option<&'static str>>>,
    /// How often it was read.
    pub reads: AtomicUsize,
}

impl MoodyStore {
    /// A store that answers, and holds a link to `url` under every key.
    pub fn new(url: &'static str) -> Self {
        MoodyStore {
            mood: watch::Sender::new(Mood::Answers),
            url: Mutex::new(Some(url)),
            expired: Mutex::new(None),
            reads: AtomicUsize::new(0),
        }
    }

    fn link(&self, key: &Key) -> Option<Link> {
        let url = Destination::from_stored((*self.url.lock())?);
        let expired = *self.expired.lock();
        Some(Link {
            key: key.clone(),
            url,
            expires_at_ms: expired.map(|_| 0),
            expired_url: expired.flatten().map(Destination::from_stored),
            ..aliased(1, "any")
        })
    }
}

#[async_trait]
impl Links for MoodyStore {
    async fn by_key(&self, _: &Domain, key: &Key) -> Result<Option<Link>, StoreError> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        // What is read is what was there when the read began.
        let link = self.link(key);
        let mut mood = self.mood.subscribe();
        let mood = *mood.wait_for(|mood| *mood != Mood::Waits).await.expect("the store lives");
        if mood == Mood::Fails { Err(StoreError::Unavailable("broken".into())) } else { Ok(link) }
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
