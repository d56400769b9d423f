//! API keys in SQLite.

use async_trait::async_trait;
use sqlx::{Row, SqliteConnection};
use uuid::Uuid;

use super::{SqliteStore, read_error, writer::Write};
use crate::store::{ApiKey, ApiKeyDigest, ApiKeys, StoreError};

#[async_trait]
impl ApiKeys for SqliteStore {
    async fn put_api_key(&self, key: &ApiKey) -> Result<(), StoreError> {
        self.writer.submit(Put(key.clone())).await
    }

    async fn put_first_api_key(&self, key: &ApiKey) -> Result<bool, StoreError> {
        self.writer.submit(PutFirst(key.clone())).await
    }

    async fn api_key(&self, digest: &ApiKeyDigest) -> Result<Option<ApiKey>, StoreError> {
        let row = sqlx::query("SELECT id, name, created_at_ms FROM api_keys WHERE digest = ?")
            .bind(digest.0.to_vec())
            .fetch_optional(&self.readers)
            .await
            .map_err(read_error)?;
        let Some(row) = row else { return Ok(None) };
        let id: Vec<u8> = row.try_get("id").map_err(read_error)?;
        Ok(Some(ApiKey {
            id: Uuid::from_slice(&id).map_err(|error| StoreError::Unreadable(error.to_string()))?,
            digest: *digest,
            name: row.try_get("name").map_err(read_error)?,
            created_at_ms: row.try_get("created_at_ms").map_err(read_error)?,
        }))
    }
}

struct Put(ApiKey);

#[async_trait]
impl Write for Put {
    type Outcome = ();

    async fn apply(&self, connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
        let Put(key) = self;
        sqlx::query("DELETE FROM api_keys WHERE name = ? AND digest <> ?")
            .bind(&key.name)
            .bind(key.digest.0.to_vec())
            .execute(&mut *connection)
            .await?;
        // A digest under another name keeps that name: the key is as good under either.
        sqlx::query(
            "INSERT INTO api_keys (id, digest, name, created_at_ms) VALUES (?, ?, ?, ?)
             ON CONFLICT (digest) DO NOTHING",
        )
        .bind(key.id.as_bytes().to_vec())
        .bind(key.digest.0.to_vec())
        .bind(&key.name)
        .bind(key.created_at_ms)
        .execute(connection)
        .await?;
        Ok(())
    }
}

struct PutFirst(ApiKey);

#[async_trait]
impl Write for PutFirst {
    type Outcome = bool;

    async fn apply(&self, connection: &mut SqliteConnection) -> Result<bool, sqlx::Error> {
        let PutFirst(key) = self;
        let put = sqlx::query(
            "INSERT INTO api_keys (id, digest, name, created_at_ms)
             SELECT ?, ?, ?, ? WHERE NOT EXISTS (SELECT 1 FROM api_keys)",
        )
        .bind(key.id.as_bytes().to_vec())
        .bind(key.digest.0.to_vec())
        .bind(&key.name)
        .bind(key.created_at_ms)
        .execute(&mut *connection)
        .await?;
        if put.rows_affected() == 1 {
            return Ok(true);
        }
        let there = sqlx::query("SELECT 1 FROM api_keys WHERE id = ?").bind(key.id.as_bytes().to_vec());
        Ok(there.fetch_optional(connection).await?.is_some())
    }
}
