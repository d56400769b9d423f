//! Claims blocks, one after the other, and turns their ids into ready codes.

use token_service::Block;
use tokio::{task::yield_now, time::timeout};

use super::{Ready, Shared, book::LeasedBlock, metrics, ready::Entry};
use crate::{
    backoff::Backoff,
    store::{Claim, StoreError},
};

/// Ids encoded between two points where other tasks may run: some 50 us of work.
const IDS_PER_TURN: usize = 64;

/// Claims the next block whenever one less than two blocks has unused ids, until the allocator stops.
pub(super) async fn keep_claims(shared: &Shared) {
    let mut backoff = Backoff::new(shared.options.backoff_min, shared.options.backoff_max);
    while !shared.is_stopping() {
        let next = next_to_claim(shared);
        // Blocks may have been used up: a lease may be finished.
        shared.wake_leasing.notify_one();
        let Some(next) = next else {
            tokio::select! {
                _ = shared.wake_claiming.notified() => {}
                _ = shared.stopped() => {}
            }
            continue;
        };
        match claim(shared, next.block).await {
            Claimed::Granted { first_unused } => {
                backoff.reset();
                shared.book.lock().granted(next, first_unused);
                encode(shared, next, first_unused).await;
            }
            Claimed::Refused => {
                backoff.reset();
                shared.book.lock().refused(next);
            }
            Claimed::Unknown => {
                shared.book.lock().refused(next);
                pause(shared, &mut backoff).await;
            }
            Claimed::NotTried => pause(shared, &mut backoff).await,
        }
    }
}

async fn pause(shared: &Shared, backoff: &mut Backoff) {
    tokio::select! {
        _ = tokio::time::sleep(backoff.pause()) => {}
        _ = shared.stopped() => {}
    }
}

fn next_to_claim(shared: &Shared) -> Option<LeasedBlock> {
    let mut book = shared.book.lock();
    book.used_up(shared.ready.take_used_up());
    book.next_to_claim()
}

enum Claimed {
    Granted {
        first_unused: u64,
    },
    Refused,
    /// It may or may not be ours: nobody will use it.
    Unknown,
    /// Nothing was done: the same block can be claimed again.
    NotTried,
}

async fn claim(shared: &Shared, block: Block) -> Claimed {
    let outcome = timeout(shared.options.claim_timeout, shared.claims.claim(block, shared.owner)).await;
    match outcome {
        Ok(Ok(Claim::Granted { first_unused })) if (block.first_id()..=block.end_id()).contains(&first_unused) => {
            metrics::block_granted();
            Claimed::Granted { first_unused }
        }
        Ok(Ok(Claim::Granted { first_unused })) => {
            metrics::block_failed();
            tracing::error!(
                block = block.0,
                first_unused,
                "a claim was granted from an id outside of its block; skipped"
            );
            Claimed::Unknown
        }
        Ok(Ok(Claim::Refused)) => {
            metrics::block_refused();
            tracing::info!(block = block.0, "a leased block was claimed by somebody else already");
            Claimed::Refused
        }
        Ok(Err(StoreError::Overloaded)) => {
            metrics::claim_put_off();
            tracing::warn!(block = block.0, "the link store has too much to do; the block is claimed later");
            Claimed::NotTried
        }
        Ok(Err(error)) => {
            metrics::block_failed();
            tracing::warn!(block = block.0, %error, "a block could not be claimed; it is skipped");
            Claimed::Unknown
        }
        Err(_) => {
            metrics::block_failed();
            tracing::warn!(block = block.0, "a claim was not answered in time; its block is skipped");
            Claimed::Unknown
        }
    }
}

/// Makes the codes of a claimed block ready, a few at a time. Always to its end, also when the allocator is stopping: what is
/// in the queue says what is unused.
async fn encode(shared: &Shared, block: LeasedBlock, first_unused: u64) {
    // Held back until it is known whether another follows in the block.
    let mut latest: Option<Ready> = None;
    let end = block.block.end_id();
    for start in (first_unused..end).step_by(IDS_PER_TURN) {
        let ids = start..end.min(start + IDS_PER_TURN as u64);
        let codes = ids.filter_map(|id| shared.codec.encode(id).map(|code| Ready { id, code }));
        let entries = codes.filter_map(|ready| latest.replace(ready));
        shared.ready.put(entries.map(|ready| Entry { ready, last_of_block: false }));
        yield_now().await;
    }
    match latest {
        Some(ready) => shared.ready.put([Entry { ready, last_of_block: true }]),
        None => shared.book.lock().holds_no_code(block),
    }
}
