//! API keys: one partition with a revision. It is read, a change is decided on in memory, and is written if the revision is still the
//! one that was read.

use std::sync::Arc;

use analytics::cql::{Conditional, Cql, CqlError, Kind, Statement};
use async_trait::async_trait;
use scylla::value::CqlValue;
use uuid::Uuid;

use super::{ScyllaStore, error};
use crate::store::{ApiKey, ApiKeyDigest, ApiKeys, StoreError};

/// How often a change is decided on anew because another came in between: of so many at once the last one gets its turn.
const ROUNDS_MAX: usize = 32;

/// The table `api_keys`.
#[derive(Debug)]
pub(super) struct Table {
    cql: Arc<Cql>,
    read: Statement,
    read_all: Statement,
    revise: Statement,
    insert: Statement,
    delete: Statement,
}

/// All keys, as of a revision.
#[derive(Debug)]
struct Keys {
    /// `None`: there never was one.
    revision: Option<i64>,
    keys: Vec<ApiKey>,
}

/// What to do with the keys that were read.
#[derive(Debug, PartialEq, Eq)]
struct Change {
    delete: Vec<ApiKeyDigest>,
    insert: Option<ApiKey>,
}

/// What a change was decided to be.
enum Decision<T> {
    Done(T),
    /// With what is answered once it is carried out.
    Change(Change, T),
}

/// A row; only the revision has a value where there are no keys.
type Row = (Option<i64>, Option<Vec<u8>>, Option<Uuid>, Option<String>, Option<i64>);

impl Table {
    pub async fn prepare(cql: &Arc<Cql>) -> Result<Self, CqlError> {
        let read = "SELECT revision, digest, id, name, created_at_ms FROM api_keys WHERE only = 1";
        let insert = "INSERT INTO api_keys (only, digest, id, name, created_at_ms) VALUES (1, ?, ?, ?, ?)";
        let revise = "UPDATE api_keys SET revision = ? WHERE only = 1 IF revision = ?";
        Ok(Table {
            read: cql.prepare(Kind::Read, &format!("{read} AND digest = ?")).await?,
            read_all: cql.prepare(Kind::SerialRead, read).await?,
            revise: cql.prepare(Kind::Conditional, revise).await?,
            insert: cql.prepare(Kind::Conditional, insert).await?,
            delete: cql.prepare(Kind::Conditional, "DELETE FROM api_keys WHERE only = 1 AND digest = ?").await?,
            cql: Arc::clone(cql),
        })
    }

    async fn one(&self, digest: &ApiKeyDigest) -> Result<Option<ApiKey>, StoreError> {
        let rows = self.cql.rows(&self.read, (digest.0.as_slice(),)).await.map_err(error)?;
        rows.maybe_first_row::<Row>().map_err(unreadable)?.map_or(Ok(None), key)
    }

    /// All keys, after every change that was under way has ended.
    async fn all(&self) -> Result<Keys, StoreError> {
        let rows = self.cql.rows(&self.read_all, ()).await.map_err(error)?;
        let mut keys = Keys { revision: None, keys: Vec::new() };
        for row in rows.rows::<Row>().map_err(unreadable)? {
            let row = row.map_err(unreadable)?;
            keys.revision = row.0;
            keys.keys.extend(key(row)?);
        }
        Ok(keys)
    }

    /// Decides on a change, and carries it out: once more where it got no answer, and may be there.
    async fn change<T>(&self, decide: impl Fn(&Keys) -> Decision<T> + Send) -> Result<T, StoreError> {
        let mut unanswered = None;
        for _ in 0..ROUNDS_MAX {
            let keys = self.all().await?;
            let (change, answer) = match decide(&keys) {
                Decision::Done(answer) => return Ok(answer),
                Decision::Change(change, answer) => (change, answer),
            };
            match self.carry_out(keys.revision, change).await {
                Ok(Conditional::Applied) => return Ok(answer),
                Ok(Conditional::Refused(_)) => {}
                Err(cause) => unanswered = Some(cause),
            }
        }
        Err(unanswered.map_or(StoreError::Overloaded, error))
    }

    async fn carry_out(&self, revision: Option<i64>, change: Change) -> Result<Conditional, CqlError> {
        let next = CqlValue::BigInt(revision.unwrap_or_default() + 1);
        let mut statements = vec![self.revise.clone()];
        let mut values = vec![vec![Some(next), revision.map(CqlValue::BigInt)]];
        for digest in change.delete {
            statements.push(self.delete.clone());
            values.push(vec![Some(CqlValue::Blob(digest.0.to_vec()))]);
        }
        if let Some(ApiKey { id, digest, name, created_at_ms }) = change.insert {
            let digest = CqlValue::Blob(digest.0.to_vec());
            let row = [digest, CqlValue::Uuid(id), CqlValue::Text(name), CqlValue::BigInt(created_at_ms)];
            statements.push(self.insert.clone());
            values.push(row.map(Some).to_vec());
        }
        self.cql.apply(&self.cql.conditional_batch(statements), values).await
    }
}

/// `None` for the row that a partition without keys has.
fn key((_, digest, id, name, created_at_ms): Row) -> Result<Option<ApiKey>, StoreError> {
    let Some(digest) = digest else { return Ok(None) };
    let digest = digest.try_into().map(ApiKeyDigest).map_err(|_| unreadable("an API key's digest is not 32 bytes"))?;
    match (id, name, created_at_ms) {
        (Some(id), Some(name), Some(created_at_ms)) => Ok(Some(ApiKey { id, digest, name, created_at_ms })),
        _ => Err(unreadable("an API key has no id, name or time")),
    }
}

fn unreadable(what: impl std::fmt::Display) -> StoreError {
    StoreError::Unreadable(what.to_string())
}

/// Its name's old key goes. A digest that is there stays as it is, under whatever name: the key is as good under either.
fn put(keys: &Keys, key: &ApiKey) -> Decision<()> {
    let old = keys.keys.iter().filter(|old| old.name == key.name && old.digest != key.digest);
    let change = Change {
        delete: old.map(|old| old.digest).collect(),
        insert: (!keys.keys.iter().any(|there| there.digest == key.digest)).then(|| key.clone()),
    };
    match change {
        Change { ref delete, insert: None } if delete.is_empty() => Decision::Done(()),
        change => Decision::Change(change, ()),
    }
}

fn put_first(keys: &Keys, key: &ApiKey) -> Decision<bool> {
    if keys.keys.is_empty() {
        return Decision::Change(Change { delete: Vec::new(), insert: Some(key.clone()) }, true);
    }
    Decision::Done(keys.keys.iter().any(|there| there.id == key.id))
}

#[async_trait]
impl ApiKeys for ScyllaStore {
    async fn put_api_key(&self, key: &ApiKey) -> Result<(), StoreError> {
        self.api_keys.change(|keys| put(keys, key)).await
    }

    async fn put_first_api_key(&self, key: &ApiKey) -> Result<bool, StoreError> {
        self.api_keys.change(|keys| put_first(keys, key)).await
    }

    async fn api_key(&self, digest: &ApiKeyDigest) -> Result<Option<ApiKey>, StoreError> {
        self.api_keys.one(digest).await
    }
}
