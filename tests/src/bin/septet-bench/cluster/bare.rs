//! The driver alone: the statements of a creation and of a look-up, as the link store has them, and nothing around them.

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result};
use scylla::{
    DeserializeRow, SerializeRow,
    client::{execution_profile::ExecutionProfile, session::Session, session_builder::SessionBuilder},
    statement::{Consistency, prepared::PreparedStatement},
    value::MaybeUnset::{self, Unset},
};
use septet_tests::bench::{load::Outcome, tasks};
use uuid::Uuid;

use super::{LINKS_TIMEOUT_MS, node::Node};
use crate::links;

/// Partitions of an hour in the listing.
const SHARDS: u64 = 64;

const HOUR_MS: i64 = 60 * 60 * 1000;

const COLUMNS: &str = "id, domain, key, url, external_id, expires_at_ms, expired_url, title, comments, archived, \
                       redirect_status, created_at_ms, updated_at_ms, revision, listing_shard, idempotency_key, attempt";

/// The statements, with the keyspace that they are for.
struct Texts {
    enter: String,
    bear: String,
    select: String,
}

impl Texts {
    /// Links are written to one keyspace, and read from the other.
    fn new(written: &str, read: &str) -> Self {
        let values = vec!["?"; COLUMNS.split(',').count()].join(", ");
        Texts {
            enter: format!(
                "INSERT INTO {written}listing (archived, hour, shard, created_at_ms, id) VALUES (?, ?, ?, ?, ?) USING TIMESTAMP ?"
            ),
            bear: format!("INSERT INTO {written}links ({COLUMNS}) VALUES ({values}) USING TIMESTAMP 1"),
            select: format!("SELECT {COLUMNS} FROM {read}links WHERE id = ?"),
        }
    }
}

#[derive(SerializeRow)]
struct NewLink {
    id: i64,
    domain: &'static str,
    key: String,
    url: String,
    external_id: MaybeUnset<&'static str>,
    expires_at_ms: MaybeUnset<i64>,
    expired_url: MaybeUnset<&'static str>,
    title: MaybeUnset<&'static str>,
    comments: MaybeUnset<&'static str>,
    archived: bool,
    redirect_status: i16,
    created_at_ms: i64,
    updated_at_ms: i64,
    revision: i64,
    listing_shard: i16,
    idempotency_key: MaybeUnset<&'static [u8]>,
    attempt: MaybeUnset<Uuid>,
}

/// A link as it is read.
#[derive(DeserializeRow)]
#[allow(dead_code)] // Read, and not looked at.
struct FoundLink {
    id: i64,
    domain: Option<String>,
    key: Option<String>,
    url: Option<String>,
    external_id: Option<String>,
    expires_at_ms: Option<i64>,
    expired_url: Option<String>,
    title: Option<String>,
    comments: Option<String>,
    archived: Option<bool>,
    redirect_status: Option<i16>,
    created_at_ms: Option<i64>,
    updated_at_ms: Option<i64>,
    revision: Option<i64>,
    listing_shard: Option<i16>,
    idempotency_key: Option<Vec<u8>>,
    attempt: Option<Uuid>,
}

/// A session of the driver, and what was prepared on it.
#[derive(Debug, Clone)]
pub struct Bare(Arc<Prepared>);

#[derive(Debug)]
struct Prepared {
    session: Session,
    enter: PreparedStatement,
    bear: PreparedStatement,
    select: PreparedStatement,
}

impl Bare {
    /// Everything as by the driver's defaults, but for what decides how much work a statement is: replicas that must answer, and metadata
    /// that need not be sent with every answer.
    pub async fn connect(node: &Node) -> Result<Self> {
        let profile = ExecutionProfile::builder()
            .consistency(Consistency::LocalQuorum)
            .request_timeout(Some(Duration::from_millis(LINKS_TIMEOUT_MS.parse()?)))
            .build()
            .into_handle();
        let builder = SessionBuilder::new().known_node(node.septet.nodes()).default_execution_profile_handle(profile);
        let session = builder.build().await?;
        let texts = Texts::new(&format!("{}.", node.bare.name()), &format!("{}.", node.septet.name()));
        let mut select = session.prepare(texts.select).await?;
        select.set_use_cached_result_metadata(true);
        let (enter, bear) = (session.prepare(texts.enter).await?, session.prepare(texts.bear).await?);
        Ok(Bare(Arc::new(Prepared { session, enter, bear, select })))
    }

    /// What it sends, without keyspaces.
    pub fn statements(&self) -> [String; 3] {
        let Texts { enter, bear, select } = Texts::new("", "");
        [enter, bear, select]
    }

    /// Inserts links, each into the listing first.
    pub async fn create(&self, in_flight: usize, time: Duration) -> Result<Outcome> {
        // Ids that no turn before has used.
        let first_id = now_ms()? << 20;
        let bare = self.clone();
        tasks::run(in_flight, time, move |n| {
            let bare = bare.clone();
            async move { bare.0.insert(first_id + i64::try_from(n)?, n).await }
        })
        .await
    }

    /// Selects these links, again and again.
    pub async fn look_up(&self, ids: Vec<i64>, in_flight: usize, time: Duration) -> Result<Outcome> {
        let (bare, ids) = (self.clone(), Arc::new(ids));
        tasks::run(in_flight, time, move |n| {
            let (bare, id) = (bare.clone(), ids[n as usize % ids.len()]);
            async move { bare.0.select(id).await }
        })
        .await
    }
}

impl Prepared {
    async fn insert(&self, id: i64, n: u64) -> Result<()> {
        let created_at_ms = now_ms()?;
        let shard = i16::try_from(n % SHARDS)?;
        let link = NewLink {
            id,
            domain: "",
            key: format!("A{:06}", n % 1_000_000),
            url: links::url(n),
            external_id: Unset,
            expires_at_ms: Unset,
            expired_url: Unset,
            title: Unset,
            comments: Unset,
            archived: false,
            redirect_status: 302,
            created_at_ms,
            updated_at_ms: created_at_ms,
            revision: 1,
            listing_shard: shard,
            idempotency_key: Unset,
            attempt: Unset,
        };
        let hour = i32::try_from(created_at_ms / HOUR_MS)?;
        let entry = (false, hour, shard, created_at_ms, id, link.revision);
        self.session.execute_unpaged(&self.enter, entry).await?;
        self.session.execute_unpaged(&self.bear, link).await?;
        Ok(())
    }

    async fn select(&self, id: i64) -> Result<()> {
        let answer = self.session.execute_unpaged(&self.select, (id,)).await?.into_rows_result()?;
        answer.maybe_first_row::<FoundLink>()?.context("a link that is there")?;
        Ok(())
    }
}

fn now_ms() -> Result<i64> {
    Ok(i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())?)
}
