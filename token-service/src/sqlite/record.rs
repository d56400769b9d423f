//! Rows of the record: how a lease is written down and read back.

use sqlx::{Row, SqliteConnection, sqlite::SqliteRow};
use uuid::Uuid;

use crate::{Account, Block, Ended, Lease, LeaseId, LeaseRecord, LeaseRequest, LeaseState, Owner, RecordFilter, Usage};

/// A macro and not a constant, so that every query is a literal.
macro_rules! select_record {
    ($rest:literal) => {
        concat!(
            "SELECT lease_id, request_id, owner, first_block, blocks, ttl_ms, leased_at_ms, renewed_at_ms, ended_at_ms, ",
            "ended, blocks_used, blocks_refused FROM leases ",
            $rest
        )
    };
}

/// What is written down when a lease begins.
pub(super) struct NewLease<'a> {
    pub request: &'a LeaseRequest,
    pub first: Block,
    pub blocks: u32,
    pub leased_again: bool,
    pub ttl_ms: u64,
    pub now_ms: i64,
}

pub(super) async fn insert(tx: &mut SqliteConnection, new: NewLease<'_>) -> Result<Lease, sqlx::Error> {
    let inserted = sqlx::query(
        "INSERT INTO leases (request_id, owner, first_block, blocks, leased_again, ttl_ms, leased_at_ms, renewed_at_ms, \
         expires_at_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7, ?8)",
    )
    .bind(new.request.request_id.to_string())
    .bind(new.request.owner.0.to_string())
    .bind(new.first.0)
    .bind(new.blocks)
    .bind(new.leased_again)
    .bind(new.ttl_ms as i64)
    .bind(new.now_ms)
    .bind(new.now_ms.saturating_add_unsigned(new.ttl_ms))
    .execute(tx)
    .await?;
    let id = LeaseId(inserted.last_insert_rowid() as u64);
    Ok(Lease { id, first: new.first, blocks: new.blocks, ttl_ms: new.ttl_ms })
}

pub(super) async fn of_request(
    tx: &mut SqliteConnection,
    request_id: Uuid,
) -> Result<Option<LeaseRecord>, sqlx::Error> {
    sqlx::query(select_record!("WHERE request_id = ?"))
        .bind(request_id.to_string())
        .try_map(read)
        .fetch_optional(tx)
        .await
}

pub(super) async fn of_lease(tx: &mut SqliteConnection, lease: LeaseId) -> Result<Option<LeaseRecord>, sqlx::Error> {
    let Ok(id) = i64::try_from(lease.0) else { return Ok(None) };
    sqlx::query(select_record!("WHERE lease_id = ?")).bind(id).try_map(read).fetch_optional(tx).await
}

/// Open leases whose end has passed, the longest overdue first.
pub(super) async fn expired(
    tx: &mut SqliteConnection,
    now_ms: i64,
    limit: u32,
) -> Result<Vec<LeaseRecord>, sqlx::Error> {
    sqlx::query(select_record!("WHERE ended IS NULL AND expires_at_ms <= ? ORDER BY expires_at_ms LIMIT ?"))
        .bind(now_ms)
        .bind(limit)
        .try_map(read)
        .fetch_all(tx)
        .await
}

pub(super) async fn page(
    connection: &mut SqliteConnection,
    filter: RecordFilter,
    after: Option<LeaseId>,
    limit: u32,
) -> Result<Vec<LeaseRecord>, sqlx::Error> {
    let after = after.map_or(-1, |lease| i64::try_from(lease.0).unwrap_or(i64::MAX));
    let state = filter.state.map(|state| match state {
        LeaseState::Open => "open",
        LeaseState::Returned => ended_name(Ended::Returned),
        LeaseState::Expired => ended_name(Ended::Expired),
    });
    sqlx::query(select_record!(
        "WHERE lease_id > ?1 AND (?2 IS NULL OR coalesce(ended, 'open') = ?2) AND (?3 IS NULL OR owner = ?3) \
         ORDER BY lease_id LIMIT ?4"
    ))
    .bind(after)
    .bind(state)
    .bind(filter.owner.map(|owner| owner.0.to_string()))
    .bind(limit)
    .try_map(read)
    .fetch_all(connection)
    .await
}

pub(super) async fn account(connection: &mut SqliteConnection, now_ms: i64) -> Result<Account, sqlx::Error> {
    let row = sqlx::query(
        "SELECT (SELECT high_water_block FROM id_space) AS ever_leased, \
         (SELECT coalesce(sum(blocks), 0) FROM free_runs) AS free, \
         coalesce(sum(blocks), 0) AS handed_out, coalesce(sum(blocks_used), 0) AS used, \
         coalesce(sum(blocks_refused), 0) AS lost, count(*) FILTER (WHERE ended IS NULL) AS open_leases, \
         coalesce(sum(blocks - blocks_used - blocks_refused) FILTER (WHERE ended IS NULL), 0) AS in_use, \
         coalesce(sum(blocks - blocks_used - blocks_refused) FILTER (WHERE ended = 'returned'), 0) AS returned, \
         coalesce(sum(blocks - blocks_used - blocks_refused) FILTER (WHERE ended = 'expired'), 0) AS expired, \
         coalesce(sum(blocks) FILTER (WHERE NOT leased_again AND leased_at_ms > ?), 0) AS last_day FROM leases",
    )
    .bind(now_ms - 86_400_000)
    .fetch_one(connection)
    .await?;
    let sum = |name: &str| row.try_get::<i64, _>(name).map(i64::cast_unsigned);
    Ok(Account {
        ever_leased: sum("ever_leased")?,
        handed_out: sum("handed_out")?,
        used: sum("used")?,
        lost: sum("lost")?,
        in_use: sum("in_use")?,
        returned: sum("returned")?,
        expired: sum("expired")?,
        free: sum("free")?,
        open_leases: sum("open_leases")?,
        first_leased_last_day: sum("last_day")?,
    })
}

pub(super) async fn renew(
    tx: &mut SqliteConnection,
    lease: LeaseId,
    usage: Usage,
    now_ms: i64,
    expires_at_ms: i64,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE leases SET renewed_at_ms = ?, expires_at_ms = ?, blocks_used = ?, blocks_refused = ? WHERE lease_id = ?",
    )
    .bind(now_ms)
    .bind(expires_at_ms)
    .bind(usage.used)
    .bind(usage.refused)
    .bind(lease.0 as i64)
    .execute(tx)
    .await?;
    Ok(())
}

pub(super) async fn end(
    tx: &mut SqliteConnection,
    lease: LeaseId,
    usage: Usage,
    how: Ended,
    now_ms: i64,
) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE leases SET ended_at_ms = ?, ended = ?, blocks_used = ?, blocks_refused = ? WHERE lease_id = ?")
        .bind(now_ms)
        .bind(ended_name(how))
        .bind(usage.used)
        .bind(usage.refused)
        .bind(lease.0 as i64)
        .execute(tx)
        .await?;
    Ok(())
}

fn ended_name(how: Ended) -> &'static str {
    match how {
        Ended::Returned => "returned",
        Ended::Expired => "expired",
    }
}

fn read(row: SqliteRow) -> Result<LeaseRecord, sqlx::Error> {
    let ended: Option<String> = row.try_get("ended")?;
    Ok(LeaseRecord {
        lease: Lease {
            id: LeaseId(row.try_get::<i64, _>("lease_id")? as u64),
            first: Block(row.try_get("first_block")?),
            blocks: row.try_get("blocks")?,
            ttl_ms: row.try_get::<i64, _>("ttl_ms")? as u64,
        },
        request_id: read_uuid(&row, "request_id")?,
        owner: Owner(read_uuid(&row, "owner")?),
        usage: Usage { used: row.try_get("blocks_used")?, refused: row.try_get("blocks_refused")? },
        leased_at_ms: row.try_get("leased_at_ms")?,
        renewed_at_ms: row.try_get("renewed_at_ms")?,
        ended_at_ms: row.try_get("ended_at_ms")?,
        ended: ended.map(|name| if name == ended_name(Ended::Returned) { Ended::Returned } else { Ended::Expired }),
    })
}

fn read_uuid(row: &SqliteRow, column: &str) -> Result<Uuid, sqlx::Error> {
    let text: String = row.try_get(column)?;
    text.parse().map_err(|error| sqlx::Error::ColumnDecode { index: column.to_owned(), source: Box::new(error) })
}
