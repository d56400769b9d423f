//! The statements that write `links`.

use std::sync::Arc;

use analytics::cql::{Cql, CqlError, Kind, Statement};

use super::{
    BORN_AT,
    answer::Answer,
    attempt::Attempt,
    error,
    row::{self, COLUMNS},
    values::{ChangedRow, NewRow},
};
use crate::{link::LinkId, store::StoreError};

/// Writes rows of `links`.
#[derive(Debug)]
pub(super) struct Writer {
    cql: Arc<Cql>,
    bear: Statement,
    make: Statement,
    change: Statement,
    raise: Statement,
    forestall: Statement,
    bury: Statement,
}

impl Writer {
    pub async fn prepare(cql: &Arc<Cql>) -> Result<Self, CqlError> {
        let values = vec!["?"; COLUMNS.split(',').count()].join(", ");
        let bear = format!("INSERT INTO links ({COLUMNS}) VALUES ({values}) USING TIMESTAMP {BORN_AT}");
        let make = format!("INSERT INTO links ({COLUMNS}) VALUES ({values}) IF NOT EXISTS");
        let change = "UPDATE links SET domain = :domain, key = :key, url = :url, external_id = :external_id, \
                      expires_at_ms = :expires_at_ms, expired_url = :expired_url, title = :title, \
                      comments = :comments, archived = :archived, redirect_status = :redirect_status, \
                      updated_at_ms = :updated_at_ms, revision = :revision, attempt = :attempt \
                      WHERE id = :id IF revision = :base";
        let raise = "UPDATE links SET revision = ?, attempt = ? WHERE id = ? IF revision = ?";
        let forestall = "INSERT INTO links (id, url, revision, attempt) VALUES (?, '', 0, ?) IF NOT EXISTS";
        let bury = "UPDATE links SET domain = null, key = null, url = '', external_id = null, expires_at_ms = null, \
                    expired_url = null, title = null, comments = null, archived = null, redirect_status = null, \
                    created_at_ms = null, updated_at_ms = null, listing_shard = null, idempotency_key = null, \
                    revision = ?, attempt = ? WHERE id = ? IF revision = ?";
        let conditional = async |statement: &str| cql.prepare(Kind::Conditional, statement).await;
        Ok(Writer {
            bear: cql.prepare(Kind::Write, &bear).await?,
            make: conditional(&make).await?,
            change: conditional(change).await?,
            raise: conditional(raise).await?,
            forestall: conditional(forestall).await?,
            bury: conditional(bury).await?,
            cql: Arc::clone(cql),
        })
    }

    /// Writes a link of which there is nothing yet, and will be nothing else.
    pub async fn bear(&self, row: NewRow<'_>) -> Result<(), StoreError> {
        self.cql.write(&self.bear, row).await.map_err(error)
    }

    /// Writes a link if it has no row.
    pub async fn make(&self, row: NewRow<'_>) -> Result<Answer, StoreError> {
        Answer::of(&self.cql, &self.make, row).await
    }

    /// Writes what may change of a link, if it has the revision that the change was made for.
    pub async fn change(&self, row: ChangedRow<'_>) -> Result<Answer, StoreError> {
        Answer::of(&self.cql, &self.change, row).await
    }

    /// Raises a link's revision, and changes nothing else: what was made for this revision comes too late.
    pub async fn raise(&self, id: LinkId, revision: i64, attempt: Attempt) -> Result<Answer, StoreError> {
        Answer::of(&self.cql, &self.raise, (revision + 1, attempt.0, row::bigint(id), revision)).await
    }

    /// Writes a void row if there is none: the link never comes into being.
    pub async fn forestall(&self, id: LinkId, attempt: Attempt) -> Result<Answer, StoreError> {
        Answer::of(&self.cql, &self.forestall, (row::bigint(id), attempt.0)).await
    }

    /// Makes a link's row void, if it has this revision.
    pub async fn bury(&self, id: LinkId, revision: i64, attempt: Attempt) -> Result<Answer, StoreError> {
        Answer::of(&self.cql, &self.bury, (revision + 1, attempt.0, row::bigint(id), revision)).await
    }
}
