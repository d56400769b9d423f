//! Records of idempotency keys.
//!
//! A record says under which id the creation of a request is to be found. It is written before anything else of the creation, so that a repetition,
//! on another instance as well, goes on with that id: of all attempts together at most one writes the link. Whether the link was
//! made, and whether it was deleted since, its row alone says.

use std::sync::Arc;

use analytics::cql::{Cql, CqlError, Held, Kind, Statement};

use super::{
    answer::{self, Answer},
    error, metrics, row,
};
use crate::{
    link::{Link, LinkId},
    store::{Idempotency, StoreError},
};

/// How long a record stays beyond [`Idempotency::KEPT_MS`], which is measured by instances' clocks: these may differ by as much.
const SLACK_MS: i64 = 60 * 60 * 1000;

/// Looks at a record that others write and remove at the same time.
const ROUNDS_MAX: u32 = 4;

/// Which creation a key stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    pub request: Vec<u8>,
    pub id: LinkId,
    /// When the creation was asked for: the link's `created_at_ms`.
    pub made_at_ms: i64,
}

impl Record {
    fn of(link: &Link, idempotency: &Idempotency) -> Self {
        Record { request: idempotency.request.to_vec(), id: link.id, made_at_ms: link.created_at_ms }
    }

    fn read(held: &Held) -> Result<Self, StoreError> {
        match (held.blob("request"), held.bigint("id"), held.bigint("made_at_ms")) {
            (Some(request), Some(id), Some(made_at_ms)) => {
                Ok(Record { request: request.to_vec(), id: row::id(id), made_at_ms })
            }
            _ => Err(StoreError::Unreadable(format!("an idempotency key is on record with {held:?}"))),
        }
    }
}

/// The table `idempotency_keys`.
#[derive(Debug)]
pub(super) struct Records {
    cql: Arc<Cql>,
    select: Statement,
    insert: Statement,
    update: Statement,
    delete: Statement,
}

impl Records {
    pub async fn prepare(cql: &Arc<Cql>) -> Result<Self, CqlError> {
        let ttl_s = (Idempotency::KEPT_MS + SLACK_MS) / 1000;
        let select = "SELECT request, id, made_at_ms FROM idempotency_keys WHERE key = ?";
        let insert = format!(
            "INSERT INTO idempotency_keys (key, request, id, made_at_ms) VALUES (?, ?, ?, ?) IF NOT EXISTS USING TTL {ttl_s}"
        );
        let update = format!(
            "UPDATE idempotency_keys USING TTL {ttl_s} SET request = ?, id = ?, made_at_ms = ? WHERE key = ? IF id = ?"
        );
        let delete = "DELETE FROM idempotency_keys WHERE key = ? IF id = ?";
        Ok(Records {
            select: cql.prepare(Kind::Read, select).await?,
            insert: cql.prepare(Kind::Conditional, &insert).await?,
            update: cql.prepare(Kind::Conditional, &update).await?,
            delete: cql.prepare(Kind::Conditional, delete).await?,
            cql: Arc::clone(cql),
        })
    }

    /// The record that a key has from now on: one for this link, unless there is an earlier one that is not too old.
    pub async fn put(&self, link: &Link, idempotency: &Idempotency) -> Result<Record, StoreError> {
        let ours = Record::of(link, idempotency);
        for _ in 0..ROUNDS_MAX {
            let Some(there) = self.insert(&idempotency.key, &ours).await? else {
                answer::pause().await;
                continue;
            };
            if there.id == ours.id || there.made_at_ms > ours.made_at_ms - Idempotency::KEPT_MS {
                return Ok(there);
            }
            self.replace(there.id, link, idempotency).await?;
        }
        Err(metrics::rounds_spent("record"))
    }

    /// Which record there is after a try to put this one; `None`: none, for all one knows.
    async fn insert(&self, key: &[u8; 32], ours: &Record) -> Result<Option<Record>, StoreError> {
        let values = (&key[..], &ours.request, row::bigint(ours.id), ours.made_at_ms);
        match Answer::of(&self.cql, &self.insert, values).await? {
            Answer::Applied => Ok(Some(ours.clone())),
            Answer::Refused(held) => Record::read(&held).map(Some),
            Answer::Lost => self.read(key).await,
        }
    }

    async fn read(&self, key: &[u8; 32]) -> Result<Option<Record>, StoreError> {
        let rows = self.cql.rows(&self.select, (&key[..],)).await.map_err(error)?;
        let row = rows.maybe_first_row::<(Vec<u8>, i64, i64)>();
        let row = row.map_err(|error| StoreError::Unreadable(error.to_string()))?;
        Ok(row.map(|(request, id, made_at_ms)| Record { request, id: row::id(id), made_at_ms }))
    }

    /// Puts a record for this link in the place of another one, if that is still there: whether it was, [`put`](Self::put) finds out.
    pub async fn replace(&self, from: LinkId, link: &Link, idempotency: &Idempotency) -> Result<(), StoreError> {
        let ours = Record::of(link, idempotency);
        let key = &idempotency.key[..];
        let values = (&ours.request, row::bigint(ours.id), ours.made_at_ms, key, row::bigint(from));
        Answer::of(&self.cql, &self.update, values).await.map(drop)
    }

    /// Forgets the creation under this id.
    pub async fn remove(&self, id: LinkId, idempotency: &Idempotency) -> Result<(), StoreError> {
        let values = (&idempotency.key[..], row::bigint(id));
        self.cql.conditional(&self.delete, values).await.map(drop).map_err(error)
    }
}
