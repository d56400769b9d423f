//! Claims in SQLite.

use async_trait::async_trait;
use sqlx::{Row, SqliteConnection};
use token_service::{Block, Fingerprint, Owner};

use super::{SqliteStore, writer::Write};
use crate::store::{Claim, Claims, Pinned, StoreError};

#[async_trait]
impl Claims for SqliteStore {
    async fn claim(&self, block: Block, owner: Owner) -> Result<Claim, StoreError> {
        self.writer.submit(TakeBlock { block, owner }).await
    }

    async fn hand_back(&self, block: Block, owner: Owner, first_unused: u64) -> Result<bool, StoreError> {
        self.writer.submit(HandBack { block, owner, first_unused }).await
    }

    async fn pin_id_space(&self, fingerprint: Fingerprint) -> Result<Pinned, StoreError> {
        self.writer.submit(Pin(fingerprint)).await
    }
}

struct TakeBlock {
    block: Block,
    owner: Owner,
}

#[async_trait]
impl Write for TakeBlock {
    type Outcome = Claim;

    async fn apply(&self, connection: &mut SqliteConnection) -> Result<Claim, sqlx::Error> {
        let granted = sqlx::query(
            "INSERT INTO claims (block, owner, first_unused) VALUES (?, ?, ?)
             ON CONFLICT (block) DO UPDATE SET owner = excluded.owner
             WHERE claims.owner IS NULL AND claims.first_unused < ?
             RETURNING first_unused",
        )
        .bind(i64::from(self.block.0))
        .bind(self.owner.0.as_bytes().to_vec())
        .bind(self.block.first_id().cast_signed())
        .bind(self.block.end_id().cast_signed())
        .fetch_optional(connection)
        .await?;
        Ok(match granted {
            Some(row) => Claim::Granted { first_unused: row.try_get::<i64, _>(0)?.cast_unsigned() },
            None => Claim::Refused,
        })
    }
}

struct HandBack {
    block: Block,
    owner: Owner,
    first_unused: u64,
}

#[async_trait]
impl Write for HandBack {
    type Outcome = bool;

    async fn apply(&self, connection: &mut SqliteConnection) -> Result<bool, sqlx::Error> {
        let handed_back = sqlx::query(
            "UPDATE claims SET owner = NULL, first_unused = ?1
                 WHERE block = ?2 AND owner = ?3 AND ?1 BETWEEN first_unused AND ?4",
        )
        .bind(self.first_unused.cast_signed())
        .bind(i64::from(self.block.0))
        .bind(self.owner.0.as_bytes().to_vec())
        .bind(self.block.end_id().cast_signed())
        .execute(connection)
        .await?;
        Ok(handed_back.rows_affected() == 1)
    }
}

struct Pin(Fingerprint);

#[async_trait]
impl Write for Pin {
    type Outcome = Pinned;

    async fn apply(&self, connection: &mut SqliteConnection) -> Result<Pinned, sqlx::Error> {
        sqlx::query("INSERT INTO id_space (only, fingerprint) VALUES (1, ?) ON CONFLICT DO NOTHING")
            .bind(self.0.0.to_vec())
            .execute(&mut *connection)
            .await?;
        let pinned: Vec<u8> = sqlx::query_scalar("SELECT fingerprint FROM id_space").fetch_one(connection).await?;
        let pinned = pinned
            .try_into()
            .map(Fingerprint)
            .map_err(|_| sqlx::Error::Decode("the id space's fingerprint is not 16 bytes".into()))?;
        Ok(if pinned == self.0 { Pinned::Ours } else { Pinned::Theirs(pinned) })
    }
}
