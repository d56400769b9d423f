//! Whether a copy is one: both stores are counted, and a sample of the links is compared.

use anyhow::ensure;
use futures::{StreamExt, TryStreamExt, stream};

use super::WRITES_AT_ONCE;
use crate::{
    link::{ExternalId, Link},
    store::{Archived, Links, scylla::ScyllaStore, sqlite::SqliteStore},
};

/// Links that are compared field by field: by id, by key and by external id.
const SAMPLE: u64 = 1_000;

/// What was found to be the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verified {
    pub links: u64,
    pub archived: u64,
    pub compared: u64,
}

/// # Errors
/// A sentence that says what differs.
pub async fn verify(source: &SqliteStore, destination: &ScyllaStore) -> anyhow::Result<Verified> {
    let links = counted(source, destination, Archived::Include).await?;
    let archived = links - counted(source, destination, Archived::Exclude).await?;
    let compared = SAMPLE.min(links);
    let sample = stream::iter(0..compared).map(|_| async {
        match source.any_link().await? {
            Some(link) => compare(&link, destination).await,
            None => Ok(()),
        }
    });
    sample.buffer_unordered(WRITES_AT_ONCE).try_collect::<()>().await?;
    Ok(Verified { links, archived, compared })
}

async fn counted(source: &SqliteStore, destination: &ScyllaStore, archived: Archived) -> anyhow::Result<u64> {
    let (ours, theirs) = (source.count(archived).await?, destination.count(archived).await?);
    let which = if archived == Archived::Include { "links" } else { "links that are not archived" };
    ensure!(
        ours == theirs,
        "the source has {ours} {which}, the destination {theirs}: one of them was changed since the copy began"
    );
    Ok(ours)
}

async fn compare(link: &Link, destination: &ScyllaStore) -> anyhow::Result<()> {
    let by_id = destination.by_id(link.id).await?;
    let by_key = destination.by_key(&link.domain, &link.key).await?;
    let by_external_id = match &link.external_id {
        Some(external_id) => destination.by_external_id(external_id).await?,
        None => by_id.clone(),
    };
    let same = [&by_id, &by_key, &by_external_id].into_iter().all(|found| found.as_ref() == Some(link));
    let key = link.key.as_str();
    let named = link.external_id.as_ref().map_or("", ExternalId::as_str);
    ensure!(
        same,
        "the link {key:?} (externalId {named:?}) is not the same at the destination: it was changed since the copy began"
    );
    Ok(())
}
