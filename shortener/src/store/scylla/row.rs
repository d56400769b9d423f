//! A link as a row, and back.

use scylla::DeserializeRow;
use uuid::Uuid;

use super::{attempt::Attempt, listing::Entry, names::Name};
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
    /// Whether there is no link: it is kept from coming into being, or was deleted.
    pub fn is_void(&self) -> bool {
        self.url.as_deref().is_none_or(str::is_empty)
    }

    /// Whether there was a link, which was deleted.
    pub fn was_deleted(&self) -> bool {
        self.is_void() && self.revision > Some(0)
    }

    /// Whether it is a link of this name.
    pub fn has(&self, name: &Name<'_>) -> bool {
        !self.is_void()
            && match name {
                Name::Alias(domain, alias) => {
                    self.domain.as_deref() == Some(domain.as_str()) && self.key.as_deref() == Some(alias.as_str())
                }
                Name::ExternalId(external_id) => self.external_id.as_deref() == Some(external_id.as_str()),
            }
    }

    pub fn revision(&self) -> Result<i64, StoreError> {
        self.revision.ok_or_else(|| StoreError::Unreadable(format!("link {} has no revision", self.id)))
    }

    pub fn is_by(&self, attempt: Attempt) -> bool {
        self.attempt == Some(attempt.0)
    }

    /// Where the link is listed.
    pub fn entry(&self) -> Result<Entry, StoreError> {
        match (self.archived, self.created_at_ms, self.listing_shard) {
            (Some(archived), Some(created_at_ms), Some(shard)) => {
                Ok(Entry { archived, created_at_ms, shard, id: id(self.id) })
            }
            _ => Err(StoreError::Unreadable(format!("link {} is not listed", self.id))),
        }
    }

    /// The link; `None` for a void row.
    pub fn link(self) -> Result<Option<Link>, StoreError> {
        let Some(url) = self.url.filter(|url| !url.is_empty()) else { return Ok(None) };
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
