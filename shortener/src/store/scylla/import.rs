//! What a copy of another link store writes. Every write may be repeated.

use std::{sync::Arc, time::Duration};

use analytics::cql::{Conditional, Cql, CqlError, Kind, Statement};
use scylla::serialize::row::SerializeRow;
use token_service::{Block, Fingerprint, ID_COUNT};
use tokio::time::sleep;

use super::{
    ScyllaStore, error,
    listing::{Entry, shard},
    names::{Hold, Name},
    row::{self, COLUMNS},
    values::NewRow,
};
use crate::{
    backoff::Backoff,
    link::{Link, LinkId},
    store::{
        Cursor, Idempotency, StoreError,
        sqlite::{ClaimRecord, IdempotencyRecord},
    },
};

/// What came of a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Imported {
    Imported,
    /// Another link has this alias or external id.
    NameTaken(String),
}

/// How far a copy has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CopiedUpTo {
    /// Every link that was made before this second has been copied.
    pub before: Second,
    /// How many they are.
    pub links: u64,
}

/// A second, in milliseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Second(i64);

impl Second {
    pub fn of(created_at_ms: i64) -> Self {
        Second(created_at_ms - created_at_ms.rem_euclid(1000))
    }

    /// Behind all links that were made before it.
    pub fn cursor(self) -> Cursor {
        Cursor { created_at_ms: self.0 - 1, id: LinkId(ID_COUNT) }
    }
}

/// Shards for links that come in order of their creation: by their place within their second, as for links that are made one after the
/// other, and the same whenever it is asked again from the beginning of a second on.
#[derive(Debug, Default)]
pub struct ShardsInOrder {
    second: Option<Second>,
    place: u64,
}

impl ShardsInOrder {
    pub fn next(&mut self, created_at_ms: i64) -> i16 {
        let second = Some(Second::of(created_at_ms));
        self.place = if second == self.second { self.place + 1 } else { 0 };
        self.second = second;
        shard::of_position(self.place)
    }
}

/// Statements that only a copy needs.
#[derive(Debug)]
struct Importer {
    forget: Statement,
    write: Statement,
    claim: Statement,
    idempotency_key: Statement,
    bury: Statement,
    begin: Statement,
    note: Statement,
    noted: Statement,
}

/// A row of `copies`.
#[derive(scylla::SerializeRow)]
struct Note<'a> {
    id_space: &'a [u8],
    before_ms: i64,
    links: i64,
}

/// A new row, and the timestamp it is written with.
#[derive(scylla::SerializeRow)]
struct Dated<'a> {
    #[scylla(flatten)]
    row: NewRow<'a>,
    written_at: i64,
}

impl Importer {
    async fn prepare(cql: &Arc<Cql>) -> Result<Self, CqlError> {
        let values = COLUMNS.split(", ").map(|column| format!(":{column}")).collect::<Vec<_>>().join(", ");
        let write = format!("INSERT INTO links ({COLUMNS}) VALUES ({values}) USING TIMESTAMP :written_at");
        let prepare = async |kind, statement: &str| cql.prepare(kind, statement).await;
        Ok(Importer {
            forget: prepare(Kind::Write, "DELETE FROM links USING TIMESTAMP ? WHERE id = ?").await?,
            write: prepare(Kind::Write, &write).await?,
            claim: prepare(
                Kind::Conditional,
                "INSERT INTO claims (block, owner, first_unused) VALUES (?, ?, ?) IF NOT EXISTS",
            )
            .await?,
            idempotency_key: prepare(
                Kind::Conditional,
                "INSERT INTO idempotency_keys (key, request, id, made_at_ms) VALUES (?, ?, ?, ?) IF NOT EXISTS USING TTL ?",
            )
            .await?,
            bury: prepare(
                Kind::Write,
                "INSERT INTO links (id, url, revision) VALUES (?, '', 1) USING TIMESTAMP 1",
            )
            .await?,
            begin: prepare(Kind::Conditional, "INSERT INTO copies (id_space, source) VALUES (?, ?) IF NOT EXISTS").await?,
            // The time of a note is what it says, so that one which comes late is not believed.
            note: prepare(
                Kind::Write,
                "INSERT INTO copies (id_space, before_ms, links) VALUES (:id_space, :before_ms, :links) \
                 USING TIMESTAMP :before_ms",
            )
            .await?,
            noted: prepare(Kind::Read, "SELECT before_ms, links FROM copies WHERE id_space = ?").await?,
        })
    }
}

/// A link store that another one is copied into.
pub struct Destination<'a> {
    store: &'a ScyllaStore,
    importer: Importer,
    id_space: Fingerprint,
}

impl ScyllaStore {
    /// Prepares to be copied into, by the id space that it is pinned to.
    pub async fn destination(&self, id_space: Fingerprint) -> Result<Destination<'_>, StoreError> {
        let importer = Importer::prepare(&self.cql).await.map_err(error)?;
        Ok(Destination { store: self, importer, id_space })
    }
}

impl Destination<'_> {
    /// Begins a copy of a source in this state, or goes on with it; `false` if another one was begun, or the same in another state.
    pub async fn begin(&self, state: &str) -> Result<bool, StoreError> {
        Ok(match self.conditional(&self.importer.begin, (self.id_space.0.as_slice(), state)).await? {
            Conditional::Applied => true,
            Conditional::Refused(held) => held.text("source") == Some(state),
        })
    }

    /// Keeps in mind that there was a link, which was deleted.
    pub async fn deleted(&self, id: LinkId) -> Result<(), StoreError> {
        self.write(&self.importer.bury, (row::bigint(id),)).await
    }

    /// Keeps a claim as it is; `false` if the block is somebody else's here.
    pub async fn claim(&self, claim: &ClaimRecord) -> Result<bool, StoreError> {
        let owner = claim.owner.map(|owner| owner.0);
        let values = (block(claim.block), owner, claim.first_unused.cast_signed());
        Ok(match self.conditional(&self.importer.claim, values).await? {
            Conditional::Applied => true,
            // What was handed back may have been taken since the first attempt at this copy, from where it was free.
            Conditional::Refused(held) => {
                let is_used_no_less = held.bigint("first_unused") >= Some(claim.first_unused.cast_signed());
                is_used_no_less && (owner.is_none() || held.uuid("owner") == owner)
            }
        })
    }

    /// Keeps a client's idempotency key for as long as it is to be kept.
    pub async fn idempotency_key(&self, record: &IdempotencyRecord, now_ms: i64) -> Result<(), StoreError> {
        let left_ms = record.made_at_ms + Idempotency::KEPT_MS - now_ms;
        let ttl_s = i32::try_from(left_ms / 1000).unwrap_or(i32::MAX).max(1);
        let Idempotency { key, request } = &record.idempotency;
        let values = (key.as_slice(), request.as_slice(), row::bigint(record.link), record.made_at_ms, ttl_s);
        self.conditional(&self.importer.idempotency_key, values).await.map(drop)
    }

    /// Writes a link as it is, with its names. It is listed last: an old entry without a link would be swept up.
    pub async fn link(&self, link: &Link, shard: i16) -> Result<Imported, StoreError> {
        for name in Name::all_of(link) {
            if !self.take(&name, link).await? {
                return Ok(Imported::NameTaken(name.as_str().to_owned()));
            }
        }
        let written_at = link.revision.cast_signed();
        if link.revision > 1 {
            // An earlier attempt may have written an earlier revision, with columns that this one has not.
            let values = (written_at - 1, row::bigint(link.id));
            self.write(&self.importer.forget, values).await?;
        }
        let row = NewRow::of(link, shard, None, None);
        self.write(&self.importer.write, Dated { row, written_at }).await?;
        let entry = Entry { archived: link.archived, created_at_ms: link.created_at_ms, shard, id: link.id };
        self.store.listing.enter(entry, link.revision).await?;
        Ok(Imported::Imported)
    }

    async fn take(&self, name: &Name<'_>, link: &Link) -> Result<bool, StoreError> {
        let hold = Hold::new(link.id);
        let holder = persist(async || {
            let holder = self.store.names.take(name, hold).await?;
            holder.ok_or_else(|| StoreError::Unavailable("a name could not be taken".into()))
        });
        Ok(holder.await?.id == link.id)
    }

    /// How far an earlier attempt at this copy has come.
    pub async fn copied(&self) -> Result<Option<CopiedUpTo>, StoreError> {
        let rows = self.store.cql.rows(&self.importer.noted, (self.id_space.0.as_slice(),)).await.map_err(error)?;
        let row: Option<(Option<i64>, Option<i64>)> =
            rows.maybe_first_row().map_err(|error| StoreError::Unreadable(error.to_string()))?;
        Ok(row.and_then(|(before_ms, links)| {
            Some(CopiedUpTo { before: Second(before_ms?), links: links?.cast_unsigned() })
        }))
    }

    /// Keeps how far this copy has come.
    pub async fn note(&self, copied: CopiedUpTo) -> Result<(), StoreError> {
        let note = Note {
            id_space: self.id_space.0.as_slice(),
            before_ms: copied.before.0,
            links: copied.links.cast_signed(),
        };
        self.write(&self.importer.note, note).await
    }

    async fn write(&self, statement: &Statement, values: impl SerializeRow) -> Result<(), StoreError> {
        self.store.cql.write(statement, values).await.map_err(error)
    }

    async fn conditional(
        &self,
        statement: &Statement,
        values: impl SerializeRow + Clone,
    ) -> Result<Conditional, StoreError> {
        persist(async || self.store.cql.conditional(statement, values.clone()).await.map_err(error)).await
    }
}

/// What gets no answer is tried again: whatever it did, doing it again changes nothing.
async fn persist<T>(attempt: impl AsyncFn() -> Result<T, StoreError>) -> Result<T, StoreError> {
    let mut backoff = Backoff::new(AGAIN_MIN, AGAIN_MAX);
    for _ in 1..ATTEMPTS_MAX {
        match attempt().await {
            Err(StoreError::Unavailable(_)) => sleep(backoff.pause()).await,
            outcome => return outcome,
        }
    }
    attempt().await
}

/// How often a conditional write of a copy is tried.
const ATTEMPTS_MAX: u32 = 5;
const AGAIN_MIN: Duration = Duration::from_millis(100);
const AGAIN_MAX: Duration = Duration::from_secs(2);

fn block(block: Block) -> i32 {
    i32::try_from(block.0).expect("there are fewer than 2^31 blocks")
}
