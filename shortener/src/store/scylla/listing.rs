//! The listing: links in order of their creation.

use std::sync::Arc;

use analytics::cql::{Cql, CqlError, Kind, Statement};

use super::{ScyllaStore, error, row};
use crate::{
    link::{Link, LinkId},
    store::{self, Archived, StoreError},
};

/// Partitions of one hour.
pub(super) const SHARDS: i16 = 64;

const HOUR_MS: i64 = 60 * 60 * 1000;

/// A link's place in the listing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    pub archived: bool,
    pub created_at_ms: i64,
    pub shard: i16,
    pub id: LinkId,
}

/// The tables `listing`, `listing_partitions` and `listing_months`.
#[derive(Debug)]
pub(super) struct Listing {
    cql: Arc<Cql>,
    insert: Statement,
    delete: Statement,
}

impl Listing {
    pub async fn prepare(cql: &Arc<Cql>) -> Result<Self, CqlError> {
        let insert =
            "INSERT INTO listing (archived, hour, shard, created_at_ms, id) VALUES (?, ?, ?, ?, ?) USING TIMESTAMP ?";
        let delete = "DELETE FROM listing USING TIMESTAMP ? \
                      WHERE archived = ? AND hour = ? AND shard = ? AND created_at_ms = ? AND id = ?";
        Ok(Listing {
            insert: cql.prepare(Kind::Write, insert).await?,
            delete: cql.prepare(Kind::Write, delete).await?,
            cql: Arc::clone(cql),
        })
    }

    /// The shard for a link that is made now.
    pub fn shard(&self, created_at_ms: i64) -> i16 {
        let _ = created_at_ms;
        0
    }

    /// Lists a link, as its revision has it: a later revision's word on the same entry wins, whichever arrives first.
    pub async fn enter(&self, entry: Entry, revision: u64) -> Result<(), StoreError> {
        let Entry { archived, created_at_ms, shard, id } = entry;
        let hour = hour(created_at_ms);
        let values = (archived, hour, shard, created_at_ms, row::bigint(id), revision.cast_signed());
        self.cql.write(&self.insert, values).await.map_err(error)
    }

    /// Lists a link no more, from this revision on.
    pub async fn leave(&self, entry: Entry, revision: u64) -> Result<(), StoreError> {
        let Entry { archived, created_at_ms, shard, id } = entry;
        let hour = hour(created_at_ms);
        let values = (revision.cast_signed(), archived, hour, shard, created_at_ms, row::bigint(id));
        self.cql.write(&self.delete, values).await.map_err(error)
    }
}

impl Listing {
    pub async fn count(&self, _archived: Archived) -> Result<u64, StoreError> {
        Err(StoreError::Unavailable("it is not there yet".into()))
    }
}

impl ScyllaStore {
    pub(super) async fn page(&self, _listing: &store::Listing) -> Result<Vec<Link>, StoreError> {
        Err(StoreError::Unavailable("it is not there yet".into()))
    }
}

/// The hour of a moment, since the Unix epoch.
fn hour(at_ms: i64) -> i32 {
    i32::try_from(at_ms.div_euclid(HOUR_MS)).unwrap_or(i32::MAX)
}
