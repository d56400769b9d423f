//! The id space that a link store is tied to: one row, written once.

use std::sync::Arc;

use analytics::cql::{Conditional, Cql, CqlError, Kind, Statement};
use token_service::{Fingerprint, IdSpace};

use super::error;
use crate::store::{Pinned, StoreError};

/// The table `id_space`.
#[derive(Debug)]
pub(super) struct Table {
    cql: Arc<Cql>,
    insert: Statement,
    read: Statement,
}

impl Table {
    pub async fn prepare(cql: &Arc<Cql>) -> Result<Self, CqlError> {
        let insert = "INSERT INTO id_space (only, fingerprint, key) VALUES (1, ?, ?) IF NOT EXISTS";
        Ok(Table {
            insert: cql.prepare(Kind::Conditional, insert).await?,
            read: cql.prepare(Kind::SerialRead, "SELECT fingerprint, key FROM id_space WHERE only = 1").await?,
            cql: Arc::clone(cql),
        })
    }

    /// Writes the row unless there is one. The row is never changed, so who is refused knows what it says for ever.
    pub async fn pin(&self, id_space: &IdSpace) -> Result<Pinned, StoreError> {
        let ours = id_space.fingerprint();
        let pinned = match self.cql.conditional(&self.insert, (ours.0.as_slice(), id_space.key().as_slice())).await {
            Ok(Conditional::Applied) => ours,
            Ok(Conditional::Refused(held)) => fingerprint(held.blob("fingerprint").unwrap_or_default())?,
            Err(unanswered) => match self.pinned().await? {
                Some(pinned) => pinned.fingerprint(),
                None => return Err(error(unanswered)),
            },
        };
        Ok(if pinned == ours { Pinned::Ours } else { Pinned::Theirs(pinned) })
    }

    /// The id space, after every pin that was under way has ended.
    pub async fn pinned(&self) -> Result<Option<IdSpace>, StoreError> {
        let rows = self.cql.rows(&self.read, ()).await.map_err(error)?;
        let row = rows.maybe_first_row::<(Vec<u8>, Vec<u8>)>();
        let Some((pinned, key)) = row.map_err(|error| StoreError::Unreadable(error.to_string()))? else {
            return Ok(None);
        };
        let key = key.try_into().map_err(|_| unreadable("the id space's key is not 32 bytes"))?;
        let id_space = IdSpace::new(key);
        if id_space.fingerprint() == fingerprint(&pinned)? {
            Ok(Some(id_space))
        } else {
            Err(unreadable("the id space's key does not give its fingerprint"))
        }
    }
}

fn fingerprint(stored: &[u8]) -> Result<Fingerprint, StoreError> {
    stored.try_into().map(Fingerprint).map_err(|_| unreadable("the id space's fingerprint is not 16 bytes"))
}

fn unreadable(what: &str) -> StoreError {
    StoreError::Unreadable(what.to_owned())
}
