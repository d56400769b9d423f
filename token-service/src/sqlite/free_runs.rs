//! Blocks that came back: maximal runs of neighbours, so that a lease of many blocks finds many together.

use sqlx::SqliteConnection;

use crate::Block;

/// Takes up to `wanted` blocks from the lowest run.
pub(super) async fn take(tx: &mut SqliteConnection, wanted: u32) -> Result<Option<(Block, u32)>, sqlx::Error> {
    let lowest: Option<(u32, u32)> =
        sqlx::query_as("SELECT first_block, blocks FROM free_runs ORDER BY first_block LIMIT 1")
            .fetch_optional(&mut *tx)
            .await?;
    let Some((first, blocks)) = lowest else { return Ok(None) };
    let taken = wanted.min(blocks);
    remove(tx, first).await?;
    if taken < blocks {
        insert(tx, first + taken, blocks - taken).await?;
    }
    Ok(Some((Block(first), taken)))
}

/// Puts blocks back, joined with the runs on either side.
pub(super) async fn put(tx: &mut SqliteConnection, first: Block, blocks: u32) -> Result<(), sqlx::Error> {
    if blocks == 0 {
        return Ok(());
    }
    let (mut start, mut end) = (first.0, first.0 + blocks);
    let below: Option<(u32, u32)> = sqlx::query_as(
        "SELECT first_block, first_block + blocks FROM free_runs WHERE first_block < ? ORDER BY first_block DESC LIMIT 1",
    )
    .bind(start)
    .fetch_optional(&mut *tx)
    .await?;
    if let Some((start_below, _)) = below.filter(|&(_, end_below)| end_below == start) {
        remove(tx, start_below).await?;
        start = start_below;
    }
    let after: Option<u32> = sqlx::query_scalar("SELECT first_block + blocks FROM free_runs WHERE first_block = ?")
        .bind(end)
        .fetch_optional(&mut *tx)
        .await?;
    if let Some(end_after) = after {
        remove(tx, end).await?;
        end = end_after;
    }
    insert(tx, start, end - start).await
}

async fn insert(tx: &mut SqliteConnection, first: u32, blocks: u32) -> Result<(), sqlx::Error> {
    sqlx::query("INSERT INTO free_runs (first_block, blocks) VALUES (?, ?)")
        .bind(first)
        .bind(blocks)
        .execute(tx)
        .await?;
    Ok(())
}

async fn remove(tx: &mut SqliteConnection, first: u32) -> Result<(), sqlx::Error> {
    sqlx::query("DELETE FROM free_runs WHERE first_block = ?").bind(first).execute(tx).await?;
    Ok(())
}
