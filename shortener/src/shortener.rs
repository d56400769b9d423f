//! What can be done with links: the use cases behind the API.

use std::{sync::Arc, time::Duration};

use tokio::runtime::Handle;
use traces::Kind;

use crate::{
    allocator::{Allocator, NoCodes},
    changes::Changes,
    clock,
    code::Code,
    destination::{Destination, Home},
    key::{Alias, Domain, Key, Requested},
    link::{ExternalId, Link, LinkId, RedirectStatus},
    store::{Created, Creation, Idempotency, Replaced, Store, StoreError},
};

/// How long a creation waits for a code while none is ready.
const CODE_WAIT: Duration = Duration::from_millis(500);

/// How often a change is made anew when others change the same link at the same time.
const CHANGES_MAX: usize = 8;

/// What a new link is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewLink {
    pub url: Destination,
    /// `None`: a generated code.
    pub alias: Option<Alias>,
    pub external_id: Option<ExternalId>,
    pub expires_at_ms: Option<i64>,
    pub expired_url: Option<Destination>,
    pub title: Option<String>,
    pub comments: Option<String>,
    pub archived: bool,
    pub redirect_status: RedirectStatus,
}

/// What of a link is to change: `None` leaves a field as it is, `Some(None)` clears it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Change {
    pub url: Option<Destination>,
    pub key: Option<Rename>,
    pub external_id: Option<Option<ExternalId>>,
    pub expires_at_ms: Option<Option<i64>>,
    pub expired_url: Option<Option<Destination>>,
    pub title: Option<Option<String>>,
    pub comments: Option<Option<String>>,
    pub archived: Option<bool>,
    pub redirect_status: Option<RedirectStatus>,
}

/// A key that a link is to have from now on. What a client read, it may send back: a link's own code is no alias then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rename {
    pub code: Option<Code>,
    pub alias: Alias,
}

/// How a client names a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Name {
    Id(LinkId),
    ExternalId(ExternalId),
    /// A code, or the alias of the same letters.
    Key(Requested),
}

/// Why a link was not made or changed.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    #[error("The key {0:?} is taken.")]
    AliasTaken(String),
    #[error("The externalId {0:?} is taken.")]
    ExternalIdTaken(String),
    #[error("This Idempotency-Key came with another request before.")]
    IdempotencyKeyReused,
    #[error("The link that was made under this Idempotency-Key has been deleted.")]
    ReplayedLinkDeleted,
    #[error("The link is being changed by others all the time. Please try again.")]
    ChangedMeanwhile,
    #[error(transparent)]
    NoCodes(#[from] NoCodes),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The use cases, over the store, the allocator and the caches of redirects, here and elsewhere. Cheap to clone.
///
/// What changes a link runs to its end even if whoever asked for it is gone: a change that is in the store must be in the
/// cache as well.
#[derive(Clone)]
pub struct Shortener {
    store: Arc<dyn Store>,
    allocator: Allocator,
    changes: Changes,
    home: Arc<Home>,
    /// Where what changes links runs: where the store's own tasks do, so that what it waits for need not wake a worker each time.
    runtime: Handle,
}

impl Shortener {
    /// To be made in the runtime of the store.
    pub fn new(store: Arc<dyn Store>, allocator: Allocator, changes: Changes, home: Home) -> Self {
        Shortener { store, allocator, changes, home: Arc::new(home), runtime: Handle::current() }
    }

    /// Where short links are served.
    pub fn home(&self) -> &Home {
        &self.home
    }

    /// For reading.
    pub fn store(&self) -> &dyn Store {
        &*self.store
    }

    /// Makes a link; it is durable, and redirects here, when this returns.
    pub async fn create(&self, new: NewLink, idempotency: Option<Idempotency>) -> Result<Link, LinkError> {
        let shortener = self.clone();
        self.to_its_end(async move { shortener.do_create(new, idempotency).await }).await
    }

    async fn do_create(&self, new: NewLink, idempotency: Option<Idempotency>) -> Result<Link, LinkError> {
        let taking = traces::child(Kind::INTERNAL, "take a code");
        let ready = taking.outcome(self.allocator.take_or_wait(CODE_WAIT).await)?;
        let now_ms = clock::now_ms();
        let link = Link {
            id: LinkId(ready.id),
            domain: Domain::default(),
            key: new.alias.map_or(Key::Code(ready.code), Key::Alias),
            url: new.url,
            external_id: new.external_id,
            expires_at_ms: new.expires_at_ms,
            expired_url: new.expired_url,
            title: new.title,
            comments: new.comments,
            archived: new.archived,
            redirect_status: new.redirect_status,
            created_at_ms: now_ms,
            updated_at_ms: now_ms,
            revision: 1,
        };
        let writing = traces::child(Kind::CLIENT, "write the link");
        let created = self.store.create(Creation { link: link.clone(), idempotency }).await;
        match writing.outcome(created)? {
            Created::Created => {
                // Somebody may have asked for it before it was there.
                self.changes.made(&link.key);
                Ok(link)
            }
            Created::Replayed(Some(link)) => {
                // Perhaps made just now, under the id of an attempt that did not come to its end.
                self.changes.made(&link.key);
                Ok(*link)
            }
            Created::Replayed(None) => Err(LinkError::ReplayedLinkDeleted),
            Created::IdempotencyKeyReused => Err(LinkError::IdempotencyKeyReused),
            Created::AliasTaken => Err(alias_taken(&link)),
            Created::ExternalIdTaken => Err(external_id_taken(&link)),
        }
    }

    /// The link of a name, if there is one.
    pub async fn find(&self, name: &Name) -> Result<Option<Link>, StoreError> {
        match name {
            Name::Id(id) => self.store.by_id(*id).await,
            Name::ExternalId(external_id) => self.store.by_external_id(external_id).await,
            Name::Key(requested) => {
                for key in requested.keys() {
                    if let Some(link) = self.store.by_key(&Domain::default(), &key).await? {
                        return Ok(Some(link));
                    }
                }
                Ok(None)
            }
        }
    }

    /// Changes a link; `None` if there is none. What it was before redirects no more when this returns.
    pub async fn change(&self, name: Name, change: Change) -> Result<Option<Link>, LinkError> {
        let shortener = self.clone();
        self.to_its_end(async move { shortener.do_change(&name, &change).await }).await
    }

    async fn do_change(&self, name: &Name, change: &Change) -> Result<Option<Link>, LinkError> {
        for _ in 0..CHANGES_MAX {
            let Some(before) = self.find(name).await? else { return Ok(None) };
            let after = changed(&before, change);
            let replaced = self.store.replace(&before, &after).await;
            // Without an answer, too: it may have happened.
            self.changes.changed(&before.key);
            self.changes.changed(&after.key);
            match replaced? {
                Replaced::Replaced => return Ok(Some(after)),
                Replaced::Stale => {}
                Replaced::AliasTaken => return Err(alias_taken(&after)),
                Replaced::ExternalIdTaken => return Err(external_id_taken(&after)),
            }
        }
        Err(LinkError::ChangedMeanwhile)
    }

    /// Deletes a link for ever and says which it was; `None` if there is none.
    pub async fn delete(&self, name: Name) -> Result<Option<Link>, LinkError> {
        let shortener = self.clone();
        self.to_its_end(async move { shortener.do_delete(&name).await }).await
    }

    async fn do_delete(&self, name: &Name) -> Result<Option<Link>, LinkError> {
        let Some(found) = self.find(name).await? else { return Ok(None) };
        let deleted = self.store.delete(found.id).await;
        self.changes.changed(&found.key);
        let deleted = deleted?;
        // It may have been renamed since it was found.
        if let Some(link) = &deleted {
            self.changes.changed(&link.key);
        }
        Ok(deleted)
    }

    /// Runs work that must not be left half-way when its caller is dropped, as a request is whose connection breaks.
    async fn to_its_end<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, LinkError>> + Send + 'static,
    ) -> Result<T, LinkError> {
        let ended = self.runtime.spawn(traces::carried(work)).await;
        ended.unwrap_or_else(|error| Err(LinkError::Store(StoreError::Unavailable(error.into()))))
    }
}

fn changed(before: &Link, change: &Change) -> Link {
    let change = change.clone();
    Link {
        id: before.id,
        domain: before.domain.clone(),
        key: change.key.map_or_else(|| before.key.clone(), |rename| renamed(&before.key, rename)),
        url: change.url.unwrap_or_else(|| before.url.clone()),
        external_id: change.external_id.unwrap_or_else(|| before.external_id.clone()),
        expires_at_ms: change.expires_at_ms.unwrap_or(before.expires_at_ms),
        expired_url: change.expired_url.unwrap_or_else(|| before.expired_url.clone()),
        title: change.title.unwrap_or_else(|| before.title.clone()),
        comments: change.comments.unwrap_or_else(|| before.comments.clone()),
        archived: change.archived.unwrap_or(before.archived),
        redirect_status: change.redirect_status.unwrap_or(before.redirect_status),
        created_at_ms: before.created_at_ms,
        updated_at_ms: clock::now_ms().max(before.updated_at_ms),
        revision: before.revision + 1,
    }
}

fn renamed(before: &Key, rename: Rename) -> Key {
    match (before, rename.code) {
        (Key::Code(own), Some(code)) if *own == code => before.clone(),
        _ => Key::Alias(rename.alias),
    }
}

fn alias_taken(link: &Link) -> LinkError {
    LinkError::AliasTaken(link.key.as_str().to_owned())
}

fn external_id_taken(link: &Link) -> LinkError {
    let external_id = link.external_id.as_ref().map_or("", |external_id| external_id.as_str());
    LinkError::ExternalIdTaken(external_id.to_owned())
}
