//! Claims in SQLite.

use async_trait::async_trait;
use sqlx::{Row, SqliteConnection, SqliteExecutor};
use token_service::{Block, Fingerprint, IdSpace, Owner};

use super::{SqliteStore, read_error, writer::Write};
use crate::{
    code::Codec,
    store::{Claim, Claims, Pinned, StoreError},
};

#[async_trait]
impl Claims for SqliteStore {
    async fn claim(&self, block: Block, owner: Owner) -> Result<Claim, StoreError> {
        self.writer.submit(TakeBlock { block, owner }).await
    }

    async fn hand_back(&self, block: Block, owner: Owner, first_unused: u64) -> Result<bool, StoreError> {
        self.writer.submit(HandBack { block, owner, first_unused }).await
    }

    async fn pin_id_space(&self, id_space: &IdSpace) -> Result<Pinned, StoreError> {
        let pinned = self.writer.submit(Pin(id_space.clone())).await?;
        if pinned == Pinned::Ours {
            self.codec.get_or_init(|| Codec::new(id_space));
        }
        Ok(pinned)
    }

    async fn id_space(&self) -> Result<Option<IdSpace>, StoreError> {
        pinned(&self.readers).await.map_err(read_error)
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

/// The id space in the file, if one is there with its key.
pub async fn pinned(from: impl SqliteExecutor<'_>) -> Result<Option<IdSpace>, sqlx::Error> {
    let row: Option<(Vec<u8>, Option<Vec<u8>>)> =
        sqlx::query_as("SELECT fingerprint, key FROM id_space").fetch_optional(from).await?;
    let Some((pinned, Some(key))) = row else { return Ok(None) };
    let key = key.try_into().map_err(|_| unreadable("the id space's key is not 32 bytes"))?;
    let id_space = IdSpace::new(key);
    if id_space.fingerprint() == fingerprint(pinned)? {
        Ok(Some(id_space))
    } else {
        Err(unreadable("the id space's key does not give its fingerprint"))
    }
}

fn fingerprint(stored: Vec<u8>) -> Result<Fingerprint, sqlx::Error> {
    stored.try_into().map(Fingerprint).map_err(|_| unreadable("the id space's fingerprint is not 16 bytes"))
}

fn unreadable(what: &'static str) -> sqlx::Error {
    sqlx::Error::Decode(what.into())
}

struct Pin(IdSpace);

#[async_trait]
impl Write for Pin {
    type Outcome = Pinned;

    async fn apply(&self, connection: &mut SqliteConnection) -> Result<Pinned, sqlx::Error> {
        let ours = self.0.fingerprint();
        sqlx::query(
            "INSERT INTO id_space (only, fingerprint, key) VALUES (1, ?, ?)
             ON CONFLICT (only) DO UPDATE SET key = excluded.key
             WHERE id_space.key IS NULL AND id_space.fingerprint = excluded.fingerprint",
        )
        .bind(ours.0.to_vec())
        .bind(self.0.key().to_vec())
        .execute(&mut *connection)
        .await?;
        let pinned = fingerprint(sqlx::query_scalar("SELECT fingerprint FROM id_space").fetch_one(connection).await?)?;
        Ok(if pinned == ours { Pinned::Ours } else { Pinned::Theirs(pinned) })
    }
}
