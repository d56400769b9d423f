//! Everything that a link store holds beside its links, for a copy of it.

use sqlx::{AssertSqlSafe, Decode, Row, Sqlite, Type, sqlite::SqliteRow};
use token_service::{Block, Owner};
use uuid::Uuid;

use super::{
    SqliteStore, read_error,
    row::{self, COLUMNS},
};
use crate::{
    link::{Link, LinkId},
    store::{ApiKey, ApiKeyDigest, Idempotency, StoreError},
};

/// A claim on record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClaimRecord {
    pub block: Block,
    /// `None` once handed back.
    pub owner: Option<Owner>,
    pub first_unused: u64,
}

/// A client's idempotency key on record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyRecord {
    pub idempotency: Idempotency,
    pub link: LinkId,
    pub made_at_ms: i64,
}

impl SqliteStore {
    /// Claims in order of their blocks: those behind `after`, at most `limit`.
    pub async fn claims(&self, after: Option<Block>, limit: u32) -> Result<Vec<ClaimRecord>, StoreError> {
        let rows = sqlx::query("SELECT block, owner, first_unused FROM claims WHERE block > ? ORDER BY block LIMIT ?")
            .bind(after.map_or(-1, |block| i64::from(block.0)))
            .bind(limit)
            .fetch_all(&self.readers)
            .await;
        rows.map_err(read_error)?.iter().map(claim).collect()
    }

    /// Idempotency keys that were made since, in their order: those behind `after`, at most `limit`.
    pub async fn idempotency_keys(
        &self,
        since_ms: i64,
        after: Option<[u8; 32]>,
        limit: u32,
    ) -> Result<Vec<IdempotencyRecord>, StoreError> {
        let rows = sqlx::query(
            "SELECT key, request, link_id, made_at_ms FROM idempotency_keys WHERE made_at_ms > ? AND key > ? ORDER BY key LIMIT ?",
        )
        .bind(since_ms)
        .bind(after.map_or_else(Vec::new, |key| key.to_vec()))
        .bind(limit)
        .fetch_all(&self.readers)
        .await;
        rows.map_err(read_error)?.iter().map(idempotency).collect()
    }

    /// Differs after anything was made, changed or deleted here.
    pub async fn state(&self) -> Result<String, StoreError> {
        // Parts of large numbers, so that sums of many stay exact.
        let sums = "SELECT count(*), ifnull(sum(revision), 0), ifnull(sum(id % 1000003), 0), \
                    ifnull(sum(updated_at_ms % 86400000), 0), \
                    (SELECT ifnull(sum(first_unused % 1000003), 0) FROM claims) FROM links";
        let sums: (i64, i64, i64, i64, i64) =
            sqlx::query_as(sums).fetch_one(&self.readers).await.map_err(read_error)?;
        let (links, revisions, ids, times, claims) = sums;
        Ok(format!("{links} {revisions} {ids} {times} {claims}"))
    }

    /// A link chosen at random, more or less: the first one behind a random id. `None` where there are no links.
    pub async fn any_link(&self) -> Result<Option<Link>, StoreError> {
        let query = AssertSqlSafe(format!(
            "SELECT {COLUMNS} FROM links
             WHERE id >= (SELECT min(id) + abs(random()) % (max(id) - min(id) + 1) FROM links) ORDER BY id LIMIT 1"
        ));
        let row = sqlx::query(query).fetch_optional(&self.readers).await.map_err(read_error)?;
        row.as_ref().map(row::link).transpose()
    }

    /// All API keys: there are few.
    pub async fn api_keys(&self) -> Result<Vec<ApiKey>, StoreError> {
        let rows = sqlx::query("SELECT id, digest, name, created_at_ms FROM api_keys").fetch_all(&self.readers).await;
        rows.map_err(read_error)?.iter().map(api_key).collect()
    }
}

fn claim(row: &SqliteRow) -> Result<ClaimRecord, StoreError> {
    let owner: Option<Vec<u8>> = get(row, "owner")?;
    Ok(ClaimRecord {
        block: Block(get(row, "block")?),
        owner: owner.map(|owner| uuid(&owner).map(Owner)).transpose()?,
        first_unused: get::<i64>(row, "first_unused")?.cast_unsigned(),
    })
}

fn idempotency(row: &SqliteRow) -> Result<IdempotencyRecord, StoreError> {
    Ok(IdempotencyRecord {
        idempotency: Idempotency { key: digest(get(row, "key")?)?, request: digest(get(row, "request")?)? },
        link: LinkId(get::<i64>(row, "link_id")?.cast_unsigned()),
        made_at_ms: get(row, "made_at_ms")?,
    })
}

fn api_key(row: &SqliteRow) -> Result<ApiKey, StoreError> {
    Ok(ApiKey {
        id: uuid(&get::<Vec<u8>>(row, "id")?)?,
        digest: ApiKeyDigest(digest(get(row, "digest")?)?),
        name: get(row, "name")?,
        created_at_ms: get(row, "created_at_ms")?,
    })
}

fn get<'row, T: Decode<'row, Sqlite> + Type<Sqlite>>(row: &'row SqliteRow, column: &str) -> Result<T, StoreError> {
    row.try_get(column).map_err(read_error)
}

fn uuid(stored: &[u8]) -> Result<Uuid, StoreError> {
    Uuid::from_slice(stored).map_err(|error| StoreError::Unreadable(error.to_string()))
}

fn digest(stored: Vec<u8>) -> Result<[u8; 32], StoreError> {
    stored.try_into().map_err(|_| StoreError::Unreadable("a digest is not 32 bytes".to_owned()))
}
