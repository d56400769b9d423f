//! A link as a row, and back.

use sqlx::{Row, Sqlite, query_builder::Separated, sqlite::SqliteRow};

use crate::{
    destination::Destination,
    key::{Domain, Key},
    link::{ExternalId, Link, LinkId, RedirectStatus},
    store::StoreError,
};

/// The columns of a link, in the order in which [`push`] binds them.
pub const COLUMNS: &str = "id, domain, key, is_alias, url, external_id, expires_at_ms, expired_url, title, comments, \
                           archived, redirect_status, created_at_ms, updated_at_ms, revision";

/// An id as SQLite holds it. Ids are below 62^7, so none is cut.
pub fn id(id: LinkId) -> i64 {
    id.0.cast_signed()
}

/// Binds a link's columns.
pub fn push(row: &mut Separated<'_, Sqlite, &'static str>, link: &Link) {
    row.push_bind(id(link.id))
        .push_bind(link.domain.as_str().to_owned())
        .push_bind(link.key.as_str().to_owned())
        .push_bind(matches!(link.key, Key::Alias(_)))
        .push_bind(link.url.as_str().to_owned())
        .push_bind(link.external_id.as_ref().map(|external_id| external_id.as_str().to_owned()))
        .push_bind(link.expires_at_ms)
        .push_bind(link.expired_url.as_ref().map(|url| url.as_str().to_owned()))
        .push_bind(link.title.clone())
        .push_bind(link.comments.clone())
        .push_bind(link.archived)
        .push_bind(u16::from(link.redirect_status))
        .push_bind(link.created_at_ms)
        .push_bind(link.updated_at_ms)
        .push_bind(link.revision.cast_signed());
}

/// Reads a link from a row that has all of [`COLUMNS`].
pub fn link(row: &SqliteRow) -> Result<Link, StoreError> {
    read(row).map_err(|error| StoreError::Unreadable(error.to_string()))
}

fn read(row: &SqliteRow) -> Result<Link, sqlx::Error> {
    let text = |column| row.try_get::<Option<String>, _>(column);
    Ok(Link {
        id: LinkId(row.try_get::<i64, _>("id")?.cast_unsigned()),
        domain: Domain::from_stored(row.try_get::<String, _>("domain")?),
        key: Key::from_stored(row.try_get("key")?),
        url: Destination::from_stored(row.try_get::<String, _>("url")?),
        external_id: text("external_id")?.map(ExternalId::from_stored),
        expires_at_ms: row.try_get("expires_at_ms")?,
        expired_url: text("expired_url")?.map(Destination::from_stored),
        title: text("title")?,
        comments: text("comments")?,
        archived: row.try_get("archived")?,
        redirect_status: RedirectStatus::try_from(row.try_get::<u16, _>("redirect_status")?)
            .map_err(|error| sqlx::Error::Decode(error.into()))?,
        created_at_ms: row.try_get("created_at_ms")?,
        updated_at_ms: row.try_get("updated_at_ms")?,
        revision: row.try_get::<i64, _>("revision")?.cast_unsigned(),
    })
}
