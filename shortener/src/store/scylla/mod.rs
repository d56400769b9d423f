//! The link store in ScyllaDB, or any Cassandra 5: the distributed implementation.
//!
//! **A link is one row**, in `links`, by its id. A code leads to its id by arithmetic; an alias or external id through `names`, which
//! says who holds a name, and the link itself says whether it has it: a name leads somewhere only where both agree. So there is one
//! place where a creation, a change and a deletion happen, and whatever was done before it or is left to do after it cannot be
//! seen.
//!
//! **A generated code** is born by a plain write with the timestamp [`BORN_AT`]: nothing is read, nothing can collide. Everything else that is
//! written to a link is conditional, on its revision or on its absence, and so carries the time of the cluster: no clock
//! of an instance takes part, an edit always wins over the creation, and a deletion over both.
//!
//! **Order of a creation** ([`create`]):
//! 1. the idempotency key is put on record with the link's id, if there is one ([`idempotency`]);
//! 2. the names are taken, if there are any ([`names`]);
//! 3. the link is listed ([`listing`]);
//! 4. the link is written. From here on it is there.
//!
//! Cut off before 4, there is no link: a held name leads nowhere and is taken from its holder by whoever wants it next; a listed id that has no link is
//! passed over; the same idempotency key finishes what was begun, under the same id ([`repeat`]).
//!
//! **Order of a change** ([`change`]): new names are taken, the link is listed in the other listing if it is archived or brought back, the
//! link is written if its revision is still the one that was read; then old names are let go and the old listing is left. **Of a
//! deletion** ([`remove`]): the link's row is made void if its revision is still the one that was read, and stays void for ever, so that
//! whatever comes late finds it; then its names are let go and its listing is left. What is cut off behind the write of the link leaves
//! names that lead nowhere and listed ids without a link, as above.
//!
//! **What got no answer** is read back serially, which completes or ends what was under way; each conditional write carries an
//! [`Attempt`](attempt::Attempt) by which its writer knows it again. What is still unclear is [`StoreError::Unavailable`].

use std::sync::{Arc, OnceLock, Weak};

use analytics::cql::{self, Cql, CqlError, CqlOptions, Migrated, Migration, Schema, SchemaError};

use async_trait::async_trait;

use super::{Archived, Created, Creation, Links, Listing, Replaced, Store, StoreError};
use crate::{
    code::Codec,
    key::{Domain, Key},
    link::{ExternalId, Link, LinkId},
};

mod answer;
mod api_keys;
mod attempt;
mod change;
mod claims;
mod create;
mod fence;
mod id_space;
mod idempotency;
mod import;
mod links;
mod listing;
mod metrics;
mod names;
mod remove;
mod repeat;
mod row;
mod taking;
mod values;
mod visitor_salts;
mod writer;

pub use import::{CopiedUpTo, Destination, Imported, Second, ShardsInOrder};

/// The timestamp of the first write of a link with a generated code, in microseconds: before any that a cluster gives, so that whatever comes later
/// wins. A listing's entries carry their link's revision as timestamp, for the same reason.
const BORN_AT: i64 = 1;

/// The tables.
const SCHEMA: Schema = Schema {
    name: "links",
    migrations: &[
        Migration { version: 1, cql: include_str!("../../../../migrations/cql/links/0001_links.cql") },
        Migration { version: 2, cql: include_str!("../../../../migrations/cql/links/0002_visitor_salts.cql") },
    ],
};

/// Makes the keyspace and its tables, or brings them up to date.
pub async fn migrate(options: &CqlOptions, replication_factor: u32) -> Result<Migrated, SchemaError> {
    cql::migrate(options, replication_factor, SCHEMA).await
}

/// Why a link store was not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error(transparent)]
    Schema(#[from] SchemaError),
    #[error("the id space of the link store cannot be told: {0}")]
    IdSpace(StoreError),
}

impl From<CqlError> for OpenError {
    fn from(error: CqlError) -> Self {
        OpenError::Schema(error.into())
    }
}

impl OpenError {
    /// Whether the same may turn out well later, without anybody's doing.
    pub fn is_transient(&self) -> bool {
        match self {
            OpenError::Schema(error) => error.is_transient(),
            OpenError::IdSpace(error) => matches!(error, StoreError::Unavailable(_) | StoreError::Overloaded),
        }
    }
}

/// The link store in a keyspace of its own, or one that it shares.
pub struct ScyllaStore {
    cql: Arc<Cql>,
    /// Tells which id a code belongs to; there is none before an id space is pinned.
    codec: OnceLock<Codec>,
    reader: links::Reader,
    writer: writer::Writer,
    names: names::Names,
    records: idempotency::Records,
    listing: listing::Listing,
    claims: claims::Table,
    id_space: id_space::Table,
    api_keys: api_keys::Table,
    visitor_salts: visitor_salts::Table,
}

impl ScyllaStore {
    /// Opens a keyspace that was [migrated](migrate). Links are found by their codes once an id space is pinned, now or earlier.
    ///
    /// # Errors
    /// A sentence for a person; [`OpenError::is_transient`] tells whether to try again.
    pub async fn open(options: &CqlOptions) -> Result<Self, OpenError> {
        metrics::describe();
        let cql = Arc::new(Cql::connect(options).await?);
        cql::check(&cql, SCHEMA).await?;
        let id_space = id_space::Table::prepare(&cql).await?;
        let pinned = id_space.pinned().await.map_err(OpenError::IdSpace)?;
        Ok(ScyllaStore {
            codec: pinned.map_or_else(OnceLock::new, |id_space| OnceLock::from(Codec::new(&id_space))),
            reader: links::Reader::prepare(&cql).await?,
            writer: writer::Writer::prepare(&cql).await?,
            names: names::Names::prepare(&cql).await?,
            records: idempotency::Records::prepare(&cql).await?,
            listing: listing::Listing::prepare(&cql).await?,
            claims: claims::Table::prepare(&cql).await?,
            id_space,
            api_keys: api_keys::Table::prepare(&cql).await?,
            visitor_salts: visitor_salts::Table::prepare(&cql).await?,
            cql,
        })
    }

    /// The session, for what the process says of it at its start: [`cql::durability()`].
    pub fn cql(&self) -> &Cql {
        &self.cql
    }

    /// The session, for whoever shows what it counts ([`cql::show`]) while it is there.
    pub fn session(&self) -> Weak<Cql> {
        Arc::downgrade(&self.cql)
    }

    /// What tests may do to its session.
    #[cfg(feature = "conformance")]
    pub fn faults(&self) -> &cql::Faults {
        self.cql.faults()
    }

    fn codec(&self) -> Result<&Codec, StoreError> {
        self.codec.get().ok_or_else(|| StoreError::Unavailable("no id space is pinned to it yet".into()))
    }
}

#[async_trait]
impl Links for ScyllaStore {
    async fn create(&self, creation: Creation) -> Result<Created, StoreError> {
        self.make(creation).await
    }

    async fn by_key(&self, domain: &Domain, key: &Key) -> Result<Option<Link>, StoreError> {
        self.link_of_key(domain, key).await
    }

    async fn by_id(&self, id: LinkId) -> Result<Option<Link>, StoreError> {
        self.link(id).await
    }

    async fn by_ids(&self, ids: &[LinkId]) -> Result<Vec<Link>, StoreError> {
        self.links(ids).await
    }

    async fn by_external_id(&self, external_id: &ExternalId) -> Result<Option<Link>, StoreError> {
        self.link_of_external_id(external_id).await
    }

    async fn list(&self, listing: &Listing) -> Result<Vec<Link>, StoreError> {
        self.page(listing).await
    }

    async fn count(&self, archived: Archived) -> Result<u64, StoreError> {
        self.count_links(archived).await
    }

    async fn replace(&self, before: &Link, after: &Link) -> Result<Replaced, StoreError> {
        self.change(before, after).await
    }

    async fn delete(&self, id: LinkId) -> Result<Option<Link>, StoreError> {
        self.remove(id).await
    }
}

#[async_trait]
impl Store for ScyllaStore {
    /// Nothing of it runs on its own: the driver connects again by itself, for ever.
    async fn ended(&self) {
        std::future::pending().await
    }

    /// Only repairs of the listing are under way without anybody who waits for them; connections end with the session.
    async fn close(&self) {
        self.listing.close().await;
    }
}

/// What an error of the cluster means to the caller.
fn error(error: CqlError) -> StoreError {
    match error {
        CqlError::Unreadable(what) => StoreError::Unreadable(what),
        other => StoreError::Unavailable(other.into()),
    }
}
