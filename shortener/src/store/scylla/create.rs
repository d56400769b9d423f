//! Making links.

use std::sync::Arc;

use analytics::cql::{Cql, CqlError, Kind, Statement};

use super::{
    BORN_AT, ScyllaStore, error,
    listing::Entry,
    row::{COLUMNS, NewRow},
};
use crate::{
    link::Link,
    store::{Created, Creation, StoreError},
};

/// Writes new rows of `links`.
#[derive(Debug)]
pub(super) struct Writer {
    cql: Arc<Cql>,
    insert: Statement,
}

impl Writer {
    pub async fn prepare(cql: &Arc<Cql>) -> Result<Self, CqlError> {
        let values = vec!["?"; COLUMNS.split(',').count()].join(", ");
        let insert = format!("INSERT INTO links ({COLUMNS}) VALUES ({values}) USING TIMESTAMP {BORN_AT}");
        Ok(Writer { insert: cql.prepare(Kind::Write, &insert).await?, cql: Arc::clone(cql) })
    }
}

impl ScyllaStore {
    pub(super) async fn make(&self, creation: Creation) -> Result<Created, StoreError> {
        self.bear(&creation.link).await?;
        Ok(Created::Created)
    }

    /// Makes a link of which there is nothing but its id: listed first, so that a link which is there is listed.
    async fn bear(&self, link: &Link) -> Result<(), StoreError> {
        let shard = self.listing.shard(link.created_at_ms);
        let entry = Entry { archived: link.archived, created_at_ms: link.created_at_ms, shard, id: link.id };
        self.listing.enter(entry, link.revision).await?;
        self.writer.cql.write(&self.writer.insert, NewRow::of(link, shard, None, None)).await.map_err(error)
    }
}
