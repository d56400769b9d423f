//! Claims: one row makes one owner the only user of one block.
//!
//! Each grant has an [`Attempt`] beside its owner, as an owner may be leased the same block twice: by it a call that got no answer tells its
//! own grant from an earlier one. And by it a claim is handed back: `IF attempt = ?` holds once and never again, so a statement
//! that a node carries out after its writer has given it up cannot free what the same owner has claimed anew.

use std::sync::Arc;

use analytics::cql::{Conditional, Cql, CqlError, Held, Kind, Statement};
use async_trait::async_trait;
use scylla::DeserializeRow;
use token_service::{Block, IdSpace, Owner};
use uuid::Uuid;

use super::{ScyllaStore, attempt::Attempt, error};
use crate::store::{Claim, Claims, Pinned, StoreError};

/// The table `claims`.
#[derive(Debug)]
pub(super) struct Table {
    cql: Arc<Cql>,
    first: Statement,
    again: Statement,
    hand_back: Statement,
    read: Statement,
}

/// A block's row. Ids are below 2^63, so none is cut.
#[derive(Debug, DeserializeRow)]
struct Row {
    owner: Option<Uuid>,
    attempt: Option<Uuid>,
    first_unused: i64,
}

impl Table {
    pub async fn prepare(cql: &Arc<Cql>) -> Result<Self, CqlError> {
        let first = "INSERT INTO claims (block, owner, attempt, first_unused) VALUES (?, ?, ?, ?) IF NOT EXISTS";
        let again = "UPDATE claims SET owner = ?, attempt = ? WHERE block = ? IF owner = null AND first_unused = ?";
        let hand_back =
            "UPDATE claims SET owner = null, attempt = null, first_unused = ? WHERE block = ? IF attempt = ?";
        let read = "SELECT owner, attempt, first_unused FROM claims WHERE block = ?";
        Ok(Table {
            first: cql.prepare(Kind::Conditional, first).await?,
            again: cql.prepare(Kind::Conditional, again).await?,
            hand_back: cql.prepare(Kind::Conditional, hand_back).await?,
            read: cql.prepare(Kind::SerialRead, read).await?,
            cql: Arc::clone(cql),
        })
    }

    /// Claims a block that was never claimed.
    async fn take_first(&self, block: Block, owner: Owner, attempt: Attempt) -> Result<Conditional, CqlError> {
        let values = (number(block), owner.0, attempt.0, block.first_id().cast_signed());
        self.cql.conditional(&self.first, values).await
    }

    /// Claims what is left of a block that was handed back.
    async fn take_again(
        &self,
        block: Block,
        owner: Owner,
        attempt: Attempt,
        first_unused: i64,
    ) -> Result<Conditional, CqlError> {
        self.cql.conditional(&self.again, (owner.0, attempt.0, number(block), first_unused)).await
    }

    /// The row after every conditional write that was under way has ended.
    async fn row(&self, block: Block) -> Result<Option<Row>, StoreError> {
        let rows = self.cql.rows(&self.read, (number(block),)).await.map_err(error)?;
        rows.maybe_first_row().map_err(|error| StoreError::Unreadable(error.to_string()))
    }
}

fn number(block: Block) -> i32 {
    block.0.cast_signed()
}

/// Where a block goes on that nobody holds, if anything is left of it.
fn free_from(held: &Held, block: Block) -> Option<i64> {
    let first_unused = held.bigint("first_unused")?;
    (held.uuid("owner").is_none() && first_unused.cast_unsigned() < block.end_id()).then_some(first_unused)
}

#[async_trait]
impl Claims for ScyllaStore {
    async fn claim(&self, block: Block, owner: Owner) -> Result<Claim, StoreError> {
        let (table, attempt) = (&self.claims, Attempt::new());
        let mut first_unused = block.first_id().cast_signed();
        let mut outcome = table.take_first(block, owner, attempt).await;
        if let Ok(Conditional::Refused(held)) = &outcome
            && let Some(free_from) = free_from(held, block)
        {
            first_unused = free_from;
            outcome = table.take_again(block, owner, attempt, first_unused).await;
        }
        if let Ok(Conditional::Applied) = outcome {
            return Ok(Claim::Granted { first_unused: first_unused.cast_unsigned() });
        }
        // A node that was outbid while it wrote, and whose write another node completed, finds its own write in the way.
        match (table.row(block).await?, outcome) {
            (Some(row), _) if row.attempt == Some(attempt.0) => {
                Ok(Claim::Granted { first_unused: row.first_unused.cast_unsigned() })
            }
            (_, Ok(_)) => Ok(Claim::Refused),
            // Not a refusal: a node may carry it out yet.
            (_, Err(unanswered)) => Err(error(unanswered)),
        }
    }

    async fn hand_back(&self, block: Block, owner: Owner, first_unused: u64) -> Result<bool, StoreError> {
        let table = &self.claims;
        let Some(claimed) = table.row(block).await? else { return Ok(false) };
        let is_in_bounds = (claimed.first_unused.cast_unsigned()..=block.end_id()).contains(&first_unused);
        if claimed.owner != Some(owner.0) || !is_in_bounds {
            return Ok(false);
        }
        let first_unused = first_unused.cast_signed();
        let values = (first_unused, number(block), claimed.attempt);
        let outcome = table.cql.conditional(&table.hand_back, values).await;
        if let Ok(Conditional::Applied) = outcome {
            return Ok(true);
        }
        match (table.row(block).await?, outcome) {
            (Some(row), Err(unanswered)) if row.attempt == claimed.attempt => Err(error(unanswered)),
            // It is not this claim any more: it was handed back, and maybe claimed by another since.
            (row, _) => Ok(row.is_some_and(|row| row.first_unused == first_unused)),
        }
    }

    async fn pin_id_space(&self, id_space: &IdSpace) -> Result<Pinned, StoreError> {
        let pinned = self.id_space.pin(id_space).await?;
        if pinned == Pinned::Ours {
            self.codec.get_or_init(|| crate::code::Codec::new(id_space));
        }
        Ok(pinned)
    }

    async fn id_space(&self) -> Result<Option<IdSpace>, StoreError> {
        self.id_space.pinned().await
    }
}
