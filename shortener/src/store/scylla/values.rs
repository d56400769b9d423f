//! What rows of `links` are written from.

use scylla::{
    SerializeRow,
    value::MaybeUnset::{self, Set, Unset},
};
use uuid::Uuid;

use super::{attempt::Attempt, row::bigint};
use crate::{
    destination::Destination,
    link::{ExternalId, Link},
};

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
    pub fn of(link: &'a Link, listing_shard: i16, idempotency_key: Option<&'a [u8]>, attempt: Option<Attempt>) -> Self {
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
            attempt: set(attempt.map(|attempt| attempt.0)),
        }
    }
}

/// What a change writes. Columns that had no value and get none are not written.
#[derive(Debug, SerializeRow)]
pub struct ChangedRow<'a> {
    id: i64,
    domain: &'a str,
    key: &'a str,
    url: &'a str,
    external_id: MaybeUnset<Option<&'a str>>,
    expires_at_ms: MaybeUnset<Option<i64>>,
    expired_url: MaybeUnset<Option<&'a str>>,
    title: MaybeUnset<Option<&'a str>>,
    comments: MaybeUnset<Option<&'a str>>,
    archived: bool,
    redirect_status: i16,
    updated_at_ms: i64,
    revision: i64,
    attempt: Uuid,
    base: i64,
}

impl<'a> ChangedRow<'a> {
    pub fn of(before: &Link, after: &'a Link, attempt: Attempt) -> Self {
        let external_id = after.external_id.as_ref().map(ExternalId::as_str);
        let expired_url = after.expired_url.as_ref().map(Destination::as_str);
        ChangedRow {
            id: bigint(after.id),
            domain: after.domain.as_str(),
            key: after.key.as_str(),
            url: after.url.as_str(),
            external_id: changed(before.external_id.is_some(), external_id),
            expires_at_ms: changed(before.expires_at_ms.is_some(), after.expires_at_ms),
            expired_url: changed(before.expired_url.is_some(), expired_url),
            title: changed(before.title.is_some(), after.title.as_deref()),
            comments: changed(before.comments.is_some(), after.comments.as_deref()),
            archived: after.archived,
            redirect_status: u16::from(after.redirect_status).cast_signed(),
            updated_at_ms: after.updated_at_ms,
            revision: after.revision.cast_signed(),
            attempt: attempt.0,
            base: before.revision.cast_signed(),
        }
    }
}

fn changed<T>(had_value: bool, value: Option<T>) -> MaybeUnset<Option<T>> {
    if had_value || value.is_some() { Set(value) } else { Unset }
}

fn set<T>(value: Option<T>) -> MaybeUnset<T> {
    value.map_or(Unset, Set)
}
