//! Links in SQLite.

use async_trait::async_trait;
use sqlx::{AssertSqlSafe, QueryBuilder, Row, SqliteConnection, sqlite::SqliteRow};

use super::{
    SqliteStore, read_error,
    row::{self, COLUMNS},
    writer::Write,
};
use crate::{
    key::{Domain, Key},
    link::{ExternalId, Link, LinkId},
    store::{Archived, Created, Creation, Cursor, Idempotency, Links, Listing, Order, Page, Replaced, StoreError},
};

/// Idempotency records that one creation deletes at most, once they are too old: so that they never pile up.
const FORGOTTEN_AT_ONCE_MAX: i64 = 16;

#[async_trait]
impl Links for SqliteStore {
    async fn create(&self, creation: Creation) -> Result<Created, StoreError> {
        let plain = matches!(creation.link.key, Key::Code(_))
            && creation.link.external_id.is_none()
            && creation.idempotency.is_none();
        if plain {
            return self.writer.insert(creation.link).await;
        }
        match self.writer.submit(Create(creation)).await? {
            Decided::Created(created) => Ok(created),
            Decided::ReplayOf(id) => Ok(Created::Replayed(self.by_id(id).await?.map(Box::new))),
        }
    }

    async fn by_key(&self, domain: &Domain, key: &Key) -> Result<Option<Link>, StoreError> {
        match key {
            Key::Code(code) => {
                let link = self.by_id(LinkId(self.codec()?.decode(*code))).await?;
                // A link that was renamed no longer answers to its code.
                Ok(link.filter(|link| link.domain == *domain && link.key == *key))
            }
            Key::Alias(alias) => {
                self.one("domain = ? AND key = ? AND is_alias", |query| {
                    query.bind(domain.as_str().to_owned()).bind(alias.as_str().to_owned())
                })
                .await
            }
        }
    }

    async fn by_id(&self, id: LinkId) -> Result<Option<Link>, StoreError> {
        self.one("id = ?", |query| query.bind(row::id(id))).await
    }

    async fn by_ids(&self, ids: &[LinkId]) -> Result<Vec<Link>, StoreError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let mut query = QueryBuilder::new(format!("SELECT {COLUMNS} FROM links WHERE id IN "));
        query.push_tuples(ids, |mut tuple, id| {
            tuple.push_bind(row::id(*id));
        });
        read_all(query.build().fetch_all(&self.readers).await)
    }

    async fn by_external_id(&self, external_id: &ExternalId) -> Result<Option<Link>, StoreError> {
        self.one("external_id = ?", |query| query.bind(external_id.as_str().to_owned())).await
    }

    async fn list(&self, listing: &Listing) -> Result<Vec<Link>, StoreError> {
        let (cursor, backwards) = match listing.page {
            Page::First | Page::Skip(_) => (None, false),
            Page::After(cursor) => (Some(cursor), false),
            Page::Before(cursor) => (Some(cursor), true),
        };
        let descending = (listing.order == Order::NewestFirst) != backwards;
        let (than, direction) = if descending { ("<", "DESC") } else { (">", "ASC") };
        let mut query = QueryBuilder::new(format!("SELECT {COLUMNS} FROM links WHERE TRUE"));
        if listing.archived == Archived::Exclude {
            query.push(" AND NOT archived");
        }
        if let Some(Cursor { created_at_ms, id }) = cursor {
            query.push(format!(" AND (created_at_ms, id) {than} (")).push_bind(created_at_ms).push(", ");
            query.push_bind(row::id(id)).push(")");
        }
        query.push(format!(" ORDER BY created_at_ms {direction}, id {direction} LIMIT "));
        query.push_bind(i64::from(listing.limit.min(Listing::LIMIT_MAX)));
        if let Page::Skip(links) = listing.page {
            query.push(" OFFSET ").push_bind(i64::from(links));
        }
        let mut links = read_all(query.build().fetch_all(&self.readers).await)?;
        if backwards {
            links.reverse();
        }
        Ok(links)
    }

    async fn count(&self, archived: Archived) -> Result<u64, StoreError> {
        let count = match archived {
            Archived::Exclude => "SELECT count(*) FROM links WHERE NOT archived",
            Archived::Include => "SELECT count(*) FROM links",
        };
        let count: i64 = sqlx::query_scalar(count).fetch_one(&self.readers).await.map_err(read_error)?;
        Ok(count.cast_unsigned())
    }

    async fn replace(&self, before: &Link, after: &Link) -> Result<Replaced, StoreError> {
        self.writer.submit(Replace { before: before.clone(), after: after.clone() }).await
    }

    async fn delete(&self, id: LinkId) -> Result<Option<Link>, StoreError> {
        match self.writer.submit(Delete(id)).await? {
            Some(row) => row::link(&row).map(Some),
            None => Ok(None),
        }
    }
}

type Query = sqlx::query::Query<'static, sqlx::Sqlite, sqlx::sqlite::SqliteArguments>;

impl SqliteStore {
    async fn one(&self, condition: &str, bind: impl FnOnce(Query) -> Query) -> Result<Option<Link>, StoreError> {
        let query = AssertSqlSafe(format!("SELECT {COLUMNS} FROM links WHERE {condition}"));
        let row = bind(sqlx::query(query)).fetch_optional(&self.readers).await.map_err(read_error)?;
        row.as_ref().map(row::link).transpose()
    }
}

fn read_all(rows: Result<Vec<SqliteRow>, sqlx::Error>) -> Result<Vec<Link>, StoreError> {
    rows.map_err(read_error)?.iter().map(row::link).collect()
}

struct Create(Creation);

/// What the transaction decided; a replay is read afterwards.
enum Decided {
    Created(Created),
    ReplayOf(LinkId),
}

#[async_trait]
impl Write for Create {
    type Outcome = Decided;

    async fn apply(&self, connection: &mut SqliteConnection) -> Result<Decided, sqlx::Error> {
        let Create(Creation { link, idempotency }) = self;
        let now_ms = link.created_at_ms;
        if let Some(idempotency) = idempotency
            && let Some(earlier) = earlier(connection, idempotency, now_ms).await?
        {
            return Ok(earlier);
        }
        let mut query = QueryBuilder::new(format!("INSERT INTO links ({COLUMNS}) "));
        query.push_values([link], |mut columns, link| row::push(&mut columns, link));
        // Aliases and external ids may be taken. An id never is: that stays an error.
        query.push(" ON CONFLICT (domain, key) WHERE is_alias DO NOTHING");
        query.push(" ON CONFLICT (external_id) WHERE external_id IS NOT NULL DO NOTHING");
        if query.build().execute(&mut *connection).await?.rows_affected() == 0 {
            let taken = external_id_taken(connection, link).await?;
            return Ok(Decided::Created(if taken { Created::ExternalIdTaken } else { Created::AliasTaken }));
        }
        if let Some(idempotency) = idempotency {
            remember(connection, idempotency, link.id, now_ms).await?;
        }
        Ok(Decided::Created(Created::Created))
    }
}

async fn earlier(
    connection: &mut SqliteConnection,
    idempotency: &Idempotency,
    now_ms: i64,
) -> Result<Option<Decided>, sqlx::Error> {
    let row = sqlx::query("SELECT request, link_id FROM idempotency_keys WHERE key = ? AND made_at_ms > ?")
        .bind(idempotency.key.to_vec())
        .bind(now_ms - Idempotency::KEPT_MS)
        .fetch_optional(connection)
        .await?;
    let Some(row) = row else { return Ok(None) };
    let request: Vec<u8> = row.try_get("request")?;
    Ok(Some(if request == idempotency.request {
        Decided::ReplayOf(LinkId(row.try_get::<i64, _>("link_id")?.cast_unsigned()))
    } else {
        Decided::Created(Created::IdempotencyKeyReused)
    }))
}

async fn remember(
    connection: &mut SqliteConnection,
    idempotency: &Idempotency,
    id: LinkId,
    now_ms: i64,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "DELETE FROM idempotency_keys WHERE key IN
         (SELECT key FROM idempotency_keys WHERE made_at_ms <= ? ORDER BY made_at_ms LIMIT ?)",
    )
    .bind(now_ms - Idempotency::KEPT_MS)
    .bind(FORGOTTEN_AT_ONCE_MAX)
    .execute(&mut *connection)
    .await?;
    sqlx::query("INSERT OR REPLACE INTO idempotency_keys (key, request, link_id, made_at_ms) VALUES (?, ?, ?, ?)")
        .bind(idempotency.key.to_vec())
        .bind(idempotency.request.to_vec())
        .bind(row::id(id))
        .bind(now_ms)
        .execute(connection)
        .await?;
    Ok(())
}

/// Whether another link has the external id of this one.
async fn external_id_taken(connection: &mut SqliteConnection, link: &Link) -> Result<bool, sqlx::Error> {
    let Some(external_id) = &link.external_id else { return Ok(false) };
    sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM links WHERE external_id = ? AND id <> ?)")
        .bind(external_id.as_str().to_owned())
        .bind(row::id(link.id))
        .fetch_one(connection)
        .await
}

struct Replace {
    before: Link,
    after: Link,
}

#[async_trait]
impl Write for Replace {
    type Outcome = Replaced;

    async fn apply(&self, connection: &mut SqliteConnection) -> Result<Replaced, sqlx::Error> {
        let Replace { before, after } = self;
        // OR IGNORE: where an alias or external id is taken, nothing changes.
        let mut query = QueryBuilder::new(format!("UPDATE OR IGNORE links SET ({COLUMNS}) = ("));
        row::push(&mut query.separated(", "), after);
        query.push(") WHERE id = ").push_bind(row::id(before.id));
        query.push(" AND revision = ").push_bind(before.revision.cast_signed());
        if query.build().execute(&mut *connection).await?.rows_affected() == 1 {
            return Ok(Replaced::Replaced);
        }
        let revision: Option<i64> = sqlx::query_scalar("SELECT revision FROM links WHERE id = ?")
            .bind(row::id(before.id))
            .fetch_optional(&mut *connection)
            .await?;
        if revision != Some(before.revision.cast_signed()) {
            return Ok(Replaced::Stale);
        }
        let taken = external_id_taken(connection, after).await?;
        Ok(if taken { Replaced::ExternalIdTaken } else { Replaced::AliasTaken })
    }
}

struct Delete(LinkId);

#[async_trait]
impl Write for Delete {
    type Outcome = Option<SqliteRow>;

    async fn apply(&self, connection: &mut SqliteConnection) -> Result<Option<SqliteRow>, sqlx::Error> {
        let query = AssertSqlSafe(format!("DELETE FROM links WHERE id = ? RETURNING {COLUMNS}"));
        sqlx::query(query).bind(row::id(self.0)).fetch_optional(connection).await
    }
}
