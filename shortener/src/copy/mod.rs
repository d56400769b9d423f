//! `septet copy`: an embedded link store, whole, into a keyspace of ScyllaDB or Cassandra.
//!
//! Claims come first, so that no id which the source has used is used again, whoever serves from the destination meanwhile. Then API keys,
//! the links in order of their creation, many at a time, and the idempotency keys of the last day. Every write may be repeated: a link is written
//! with its revision as timestamp, so that the same link, or an older one, changes nothing, and what was changed or deleted at the
//! destination stays so. How far it has come is kept at the destination; a copy that was cut off goes on there, if the source is
//! still as it was. At the end both stores are counted, and a sample of the links is compared.

mod progress;
mod report;
mod verify;

use std::{path::Path, pin::pin, time::Duration};

use anyhow::{Context, bail, ensure};
use futures::{Stream, StreamExt, TryStreamExt, stream};
use tokio::time::Instant;

use self::{progress::Progress, report::Report};
use crate::{
    clock,
    data_dir::DataDir,
    link::Link,
    store::{
        ApiKeys, Archived, Claims, Cursor, Idempotency, Links, Listing, Order, Page, Pinned,
        scylla::{CopiedUpTo, Destination, Imported, ScyllaStore, Second, ShardsInOrder},
        sqlite::SqliteStore,
    },
};

/// Links that are written at the same time.
const WRITES_AT_ONCE: usize = 128;
/// Rows of the source that are read at once.
const PAGE: u32 = Listing::LIMIT_MAX;
/// How often it is noted how far the copy has come.
const NOTED_EVERY: Duration = Duration::from_secs(2);

/// Opens the link store in a file, and holds the data directory that it is in, so that nobody serves from it meanwhile.
pub async fn source(file: &Path) -> anyhow::Result<(SqliteStore, Option<DataDir>)> {
    ensure!(file.is_file(), "--from: there is no file {}", file.display());
    let held = DataDir::hold_of(file)?;
    Ok((SqliteStore::open(file).await?, held))
}

/// Copies `source` into `destination`.
///
/// # Errors
/// A sentence for a person; everything that was copied stays, and the same command goes on from there.
pub async fn copy(source: &SqliteStore, store: &ScyllaStore) -> anyhow::Result<Report> {
    let id_space =
        source.id_space().await?.context("the source has never been served from: there is nothing to copy")?;
    if let Pinned::Theirs(theirs) = store.pin_id_space(&id_space).await? {
        bail!(
            "the destination belongs to the id space {theirs}, the source to {}: their codes would clash",
            id_space.fingerprint()
        );
    }
    let destination = &store.destination(id_space.fingerprint()).await?;
    ensure!(
        destination.begin(&source.state().await?).await?,
        "an earlier copy into this keyspace was begun from another state of the source, which was served from since: copy into an \
         empty keyspace"
    );
    let claims = claims(source, destination).await?;
    for key in source.api_keys().await? {
        store.put_api_key(&key).await?;
    }
    links(source, destination).await?;
    let idempotency_keys = idempotency_keys(source, destination).await?;
    let verified = verify::verify(source, store).await?;
    Ok(Report { id_space: id_space.fingerprint(), claims, idempotency_keys, verified })
}

async fn claims(source: &SqliteStore, destination: &Destination<'_>) -> anyhow::Result<u64> {
    let (mut copied, mut after) = (0, None);
    loop {
        let page = source.claims(after, PAGE).await?;
        let Some(last) = page.last() else { return Ok(copied) };
        after = Some(last.block);
        copied += page.len() as u64;
        let writes = stream::iter(page).map(|claim| async move {
            if destination.claim(&claim).await? {
                return Ok(());
            }
            bail!(
                "block {} is claimed at the destination by somebody else: links were made there under ids that the source has used \
                 as well; it is no place for this copy",
                claim.block.0
            );
        });
        writes.buffer_unordered(WRITES_AT_ONCE).try_collect::<()>().await?;
    }
}

async fn idempotency_keys(source: &SqliteStore, destination: &Destination<'_>) -> anyhow::Result<u64> {
    let now_ms = clock::now_ms();
    let since_ms = now_ms - Idempotency::KEPT_MS;
    let (mut copied, mut after) = (0, None);
    loop {
        let page = source.idempotency_keys(since_ms, after, PAGE).await?;
        let Some(last) = page.last() else { return Ok(copied) };
        after = Some(last.idempotency.key);
        copied += page.len() as u64;
        let writes = stream::iter(page).map(|record| async move {
            // A repetition is answered that the link was deleted, and does not make it again.
            if source.by_id(record.link).await?.is_none() {
                destination.deleted(record.link).await?;
            }
            anyhow::Ok(destination.idempotency_key(&record, now_ms).await?)
        });
        writes.buffer_unordered(WRITES_AT_ONCE).try_collect::<()>().await?;
    }
}

async fn links(source: &SqliteStore, destination: &Destination<'_>) -> anyhow::Result<()> {
    let all = source.count(Archived::Include).await?;
    let begun = destination.copied().await?;
    let mut copied = begun.map_or(0, |begun| begun.links);
    let progress = Progress::start(all, copied);
    // The shard follows from the place within a second, so a copy goes on at the beginning of one.
    let mut shards = ShardsInOrder::default();
    let writes = in_order(source, begun.map(|begun| begun.before.cursor())).map_ok(|link| {
        let shard = shards.next(link.created_at_ms);
        async move { import(destination, link, shard).await }
    });
    // In their order, so that everything before a link which has been copied has been copied as well.
    let mut written = pin!(writes.try_buffered(WRITES_AT_ONCE));
    let (mut second, mut noted_at) = (begun.map(|begun| begun.before), Instant::now());
    while let Some(created_at_ms) = written.try_next().await? {
        let before = Second::of(created_at_ms);
        if second.replace(before) != Some(before) && noted_at.elapsed() >= NOTED_EVERY {
            destination.note(CopiedUpTo { before, links: copied }).await?;
            noted_at = Instant::now();
        }
        copied += 1;
        progress.at(copied);
    }
    progress.finish();
    Ok(())
}

/// The links behind a place, oldest first, a page at a time.
fn in_order(source: &SqliteStore, after: Option<Cursor>) -> impl Stream<Item = anyhow::Result<Link>> {
    let pages = stream::try_unfold(after, move |after| async move {
        let page = after.map_or(Page::First, Page::After);
        let listing = Listing { archived: Archived::Include, order: Order::OldestFirst, page, limit: PAGE };
        let links = source.list(&listing).await?;
        let last = links.last().map(|link| Cursor { created_at_ms: link.created_at_ms, id: link.id });
        let Some(last) = last else { return Ok(None) };
        anyhow::Ok(Some((stream::iter(links).map(Ok), Some(last))))
    });
    pages.try_flatten()
}

/// Writes a link; when it was made.
async fn import(destination: &Destination<'_>, link: Link, shard: i16) -> anyhow::Result<i64> {
    match destination.link(&link, shard).await? {
        Imported::Imported => Ok(link.created_at_ms),
        Imported::NameTaken(name) => bail!("{name:?} belongs to another link at the destination"),
    }
}
