//! Links: made, found, changed, listed.

use async_trait::async_trait;

use super::StoreError;
use crate::{
    key::{Domain, Key},
    link::{ExternalId, Link, LinkId},
};

/// A link to be made.
#[derive(Debug, Clone)]
pub struct Creation {
    pub link: Link,
    /// The client's word that a repetition of this request means the same link.
    pub idempotency: Option<Idempotency>,
}

/// A client's idempotency key and what it was sent with, both as digests. Kept for [`Idempotency::KEPT_MS`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Idempotency {
    /// SHA-256 of the API key's id and the idempotency key.
    pub key: [u8; 32],
    /// SHA-256 of the request as it was understood.
    pub request: [u8; 32],
}

impl Idempotency {
    /// How long a repetition is recognised, in milliseconds: a day.
    pub const KEPT_MS: i64 = 24 * 60 * 60 * 1000;
}

/// What came of a creation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Created {
    /// The link is there, durably.
    Created,
    /// The same request came before and made this link, as it is now; `None` if it was deleted since.
    Replayed(Option<Box<Link>>),
    /// Another request came before under the same idempotency key.
    IdempotencyKeyReused,
    AliasTaken,
    ExternalIdTaken,
}

/// What came of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replaced {
    Replaced,
    /// The link was changed or deleted since it was read: read it again. Where the store's nodes lost the answer to this change, it may have been
    /// made before that.
    Stale,
    AliasTaken,
    ExternalIdTaken,
}

/// Which links are listed, newest first unless said otherwise, ties broken by id.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Listing {
    pub archived: Archived,
    pub order: Order,
    pub page: Page,
    /// 1 to [`Listing::LIMIT_MAX`].
    pub limit: u32,
}

impl Listing {
    /// The most links in one page.
    pub const LIMIT_MAX: u32 = 100;
}

/// Which links count, by whether they are archived.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Archived {
    #[default]
    Exclude,
    Include,
}

/// By time of creation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    #[default]
    NewestFirst,
    OldestFirst,
}

/// Where a page lies in the order of its listing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Page {
    #[default]
    First,
    /// After so many links from the beginning: for the first few pages, as it costs what it skips.
    Skip(u32),
    /// Right after this link.
    After(Cursor),
    /// Right before this link.
    Before(Cursor),
}

/// A place in a listing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    pub created_at_ms: i64,
    pub id: LinkId,
}

/// Keeps links.
///
/// What was answered is durable: it survives a crash of the process, and of the machine where the store says so. What got
/// [`StoreError::Unavailable`] may have happened or not. Every call may be repeated, except a [`create`](Links::create) without
/// an idempotency key.
#[async_trait]
pub trait Links: Send + Sync + 'static {
    /// Makes a link. A generated code is written without a look: its id is the caller's alone, and what becomes of an id that is in
    /// use is not said. An alias and an external id are
    /// taken by one link at a time, whoever else tries at the same moment.
    async fn create(&self, creation: Creation) -> Result<Created, StoreError>;

    async fn by_key(&self, domain: &Domain, key: &Key) -> Result<Option<Link>, StoreError>;

    async fn by_id(&self, id: LinkId) -> Result<Option<Link>, StoreError>;

    /// Those of `ids` that exist, in any order; at most [`Listing::LIMIT_MAX`] times ten ids.
    async fn by_ids(&self, ids: &[LinkId]) -> Result<Vec<Link>, StoreError>;

    async fn by_external_id(&self, external_id: &ExternalId) -> Result<Option<Link>, StoreError>;

    async fn list(&self, listing: &Listing) -> Result<Vec<Link>, StoreError>;

    async fn count(&self, archived: Archived) -> Result<u64, StoreError>;

    /// Puts `after` in the place of `before`: same id, next revision. Its key may change; the old one is free from then
    /// on, but a code is never issued again.
    async fn replace(&self, before: &Link, after: &Link) -> Result<Replaced, StoreError>;

    /// Deletes a link for ever and says what it was, as it was last; `None` if there was none.
    async fn delete(&self, id: LinkId) -> Result<Option<Link>, StoreError>;
}
