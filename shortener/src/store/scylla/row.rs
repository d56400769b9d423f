//! A link as a row, and back.

use scylla::{
    DeserializeRow, SerializeRow,
    value::MaybeUnset::{self, Set, Unset},
};
use uuid::Uuid;

use crate::{
    destination::Destination,
    key::{Domain, Key},
    link::{ExternalId, Link, LinkId, RedirectStatus},
    store::StoreError,
};

/// The columns of [`Row`].
pub const COLUMNS: &str = "id, domain, key, url, external_id, expires_at_ms, expired_url, title, comments, archived, \
                           redirect_status, created_at_ms, updated_at_ms, revision, listing_shard, idempotency_key, attempt";

/// A row of `links`.
#[derive(Debug, Clone, DeserializeRow)]
pub struct Row {
    pub id: i64,
    pub domain: Option<String>,
    pub key: Option<String>,
    pub url: Option<String>,
    pub external_id: Option<String>,
    pub expires_at_ms: Option<i64>,
    pub expired_url: Option<String>,
    pub title: Option<String>,
    pub comments: Option<String>,
    pub archived: Option<bool>,
    pub redirect_status: Option<i16>,
    pub created_at_ms: Option<i64>,
    pub updated_at_ms: Option<i64>,
    pub revision: Option<i64>,
    pub listing_shard: Option<i16>,
    pub idempotency_key: Option<Vec<u8>>,
    pub attempt: Option<Uuid>,
}

impl Row {
    /// The link; `None` for a row that stands for an unfinished creation.
    pub fn link(self) -> Result<Option<Link>, StoreError> {
        let Some(url) = self.url else { return Ok(None) };
        let missing = |column: &str| StoreError::Unreadable(format!("link {} has no {column}", self.id));
        let status = u16::try_from(self.redirect_status.unwrap_or_default()).unwrap_or_default();
        Ok(Some(Link {
            id: id(self.id),
            domain: Domain::from_stored(self.domain.ok_or_else(|| missing("domain"))?),
            key: Key::from_stored(&self.key.ok_or_else(|| missing("key"))?),
            url: Destination::from_stored(url),
            external_id: self.external_id.map(ExternalId::from_stored),
            expires_at_ms: self.expires_at_ms,
            expired_url: self.expired_url.map(Destination::from_stored),
            title: self.title,
            comments: self.comments,
            archived: self.archived.ok_or_else(|| missing("archived"))?,
            redirect_status: RedirectStatus::try_from(status)
                .map_err(|error| StoreError::Unreadable(format!("link {}: redirect_status {error}", self.id)))?,
            created_at_ms: self.created_at_ms.ok_or_else(|| missing("created_at_ms"))?,
            updated_at_ms: self.updated_at_ms.ok_or_else(|| missing("updated_at_ms"))?,
            revision: self.revision.ok_or_else(|| missing("revision"))?.cast_unsigned(),
        }))
    }
}

/// An id as CQL holds it. Ids are below 62^7, so none is cut.
pub fn bigint(id: LinkId) -> i64 {
    id.0.cast_signed()
}

/// An id that was stored.
pub fn id(stored: i64) -> LinkId {
    LinkId(stored.cast_unsigned())
}

/// What a new link's row is written from. Columns that have no value are not written: a written null is a tombstone.
#[derive(Debug, SerializeRow)]
pub struct NewRow<'a> {
    id: i64,
    domain: &'a str,
    key: &'a str,
    url: &'a str,
    external_id: MaybeUnset<&'a str>,
    expires_at_ms: MaybeUnset<i64>,
    expired_url: MaybeUnset<&'a str>,
    title: MaybeUnset<&'a str>,
    comments: MaybeUnset<&'a str>,
    archived: bool,
    redirect_status: i16,
    created_at_ms: i64,
    updated_at_ms: i64,
    revision: i64,
    listing_shard: i16,
    idempotency_key: MaybeUnset<&'a [u8]>,
    attempt: MaybeUnset<Uuid>,
}

impl<'a> NewRow<'a> {
    pub fn of(link: &'a Link, listing_shard: i16, idempotency_key: Option<&'a [u8]>, attempt: Option<Uuid>) -> Self {
        NewRow {
            id: bigint(link.id),
            domain: link.domain.as_str(),
            key: link.key.as_str(),
            url: link.url.as_str(),
            external_id: set(link.external_id.as_ref().map(ExternalId::as_str)),
            expires_at_ms: set(link.expires_at_ms),
            expired_url: set(link.expired_url.as_ref().map(Destination::as_str)),
            title: set(link.title.as_deref()),
            comments: set(link.comments.as_deref()),
            archived: link.archived,
            redirect_status: u16::from(link.redirect_status).cast_signed(),
            created_at_ms: link.created_at_ms,
            updated_at_ms: link.updated_at_ms,
            revision: link.revision.cast_signed(),
            listing_shard,
            idempotency_key: set(idempotency_key),
            attempt: set(attempt),
        }
    }
}

fn set<T>(value: Option<T>) -> MaybeUnset<T> {
    value.map_or(Unset, Set)
}
