//! Reading links: by id, by key, by external id.

use std::sync::Arc;

use analytics::cql::{Cql, CqlError, Kind, Statement};
use futures::{StreamExt, TryStreamExt, stream};

use super::{
    ScyllaStore, error,
    names::Name,
    row::{self, COLUMNS, Row},
};
use crate::{
    key::{Domain, Key},
    link::{ExternalId, Link, LinkId},
    store::StoreError,
};

/// Links of one answer that are read at the same time.
const READS_AT_ONCE: usize = 32;

/// Reads rows of `links`.
#[derive(Debug)]
pub(super) struct Reader {
    cql: Arc<Cql>,
    select: Statement,
    select_serially: Statement,
}

impl Reader {
    pub async fn prepare(cql: &Arc<Cql>) -> Result<Self, CqlError> {
        let select = format!("SELECT {COLUMNS} FROM links WHERE id = ?");
        Ok(Reader {
            select: cql.prepare(Kind::Read, &select).await?,
            select_serially: cql.prepare(Kind::SerialRead, &select).await?,
            cql: Arc::clone(cql),
        })
    }

    /// The row as a quorum has it.
    pub async fn row(&self, id: LinkId) -> Result<Option<Row>, StoreError> {
        self.read(&self.select, id).await
    }

    /// The row after every conditional write that was under way has ended.
    pub async fn row_serially(&self, id: LinkId) -> Result<Option<Row>, StoreError> {
        self.read(&self.select_serially, id).await
    }

    async fn read(&self, statement: &Statement, id: LinkId) -> Result<Option<Row>, StoreError> {
        let rows = self.cql.rows(statement, (row::bigint(id),)).await.map_err(error)?;
        rows.maybe_first_row().map_err(|error| StoreError::Unreadable(error.to_string()))
    }
}

impl ScyllaStore {
    pub(super) async fn link(&self, id: LinkId) -> Result<Option<Link>, StoreError> {
        self.reader.row(id).await?.map_or(Ok(None), Row::link)
    }

    pub(super) async fn links(&self, ids: &[LinkId]) -> Result<Vec<Link>, StoreError> {
        let reads = stream::iter(ids.to_vec()).map(|id| self.link(id)).buffered(READS_AT_ONCE);
        reads.try_filter_map(|link| async { Ok(link) }).try_collect().await
    }

    /// The link says itself which key it has: a code belongs to one id for ever, but the link may have been renamed, and a held
    /// name may be of something unfinished.
    pub(super) async fn link_of_key(&self, domain: &Domain, key: &Key) -> Result<Option<Link>, StoreError> {
        let id = match key {
            Key::Code(code) => LinkId(self.codec()?.decode(*code)),
            Key::Alias(alias) => match self.names.holder(&Name::Alias(domain, alias)).await? {
                Some(hold) => hold.id,
                None => return Ok(None),
            },
        };
        Ok(self.link(id).await?.filter(|link| link.domain == *domain && link.key == *key))
    }

    pub(super) async fn link_of_external_id(&self, external_id: &ExternalId) -> Result<Option<Link>, StoreError> {
        let Some(hold) = self.names.holder(&Name::ExternalId(external_id)).await? else { return Ok(None) };
        Ok(self.link(hold.id).await?.filter(|link| link.external_id.as_ref() == Some(external_id)))
    }
}
