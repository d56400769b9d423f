//! The end: hands claimed blocks back at their next unused ids, and then the leases.
//!
//! In this order: a block leased again while its claim is still ours would be refused to whoever gets it, and be lost.

use token_service::{LeaseId, Usage};
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};

use super::{
    CloseError, Shared,
    book::ClaimedBlock,
    leasing::{Retrying, is_final, within},
    metrics::{self, HandBack, Operation},
};
use crate::backoff::Backoff;

/// Runs when nothing is claimed or leased any more, and the queue is closed.
pub(super) async fn drain(shared: &Shared) -> Result<(), CloseError> {
    let (claimed, leases) = {
        let mut book = shared.book.lock();
        (book.left_over(shared.ready.take_rest()), book.held_leases())
    };
    let mut blocks_kept = 0;
    for block in claimed {
        blocks_kept += usize::from(!hand_back(shared, block).await);
    }
    give_back_all(shared, &leases).await;
    if blocks_kept == 0 { Ok(()) } else { Err(CloseError::NotHandedBack { blocks: blocks_kept }) }
}

/// Whether the block is no longer ours.
async fn hand_back(shared: &Shared, claimed: ClaimedBlock) -> bool {
    let ClaimedBlock { block, first_unused } = claimed;
    let options = &shared.options;
    let mut backoff = Backoff::new(options.backoff_min, options.backoff_max);
    for attempt in 1..=options.hand_back_attempts {
        let call = shared.claims.hand_back(block.block, shared.owner, first_unused);
        match timeout(options.claim_timeout, call).await {
            Ok(Ok(true)) => return true,
            Ok(Ok(false)) => {
                tracing::error!(block = block.block.0, "a claimed block was not ours when it was to be handed back");
                return true;
            }
            Ok(Err(error)) => tracing::warn!(block = block.block.0, %error, "a block could not be handed back"),
            Err(_) => tracing::warn!(block = block.block.0, "handing a block back was not answered in time"),
        }
        if attempt < options.hand_back_attempts {
            sleep(backoff.pause()).await;
        }
    }
    metrics::hand_back_failed(HandBack::Block);
    false
}

/// Gives back what can be given back in time.
async fn give_back_all(shared: &Shared, leases: &[(LeaseId, Usage)]) {
    let until = Instant::now() + shared.options.give_back_wait;
    for (lease, usage) in leases {
        if timeout_at(until, give_back(shared, *lease, *usage)).await.is_err() {
            metrics::hand_back_failed(HandBack::Lease);
            tracing::warn!(lease = lease.0, "a lease could not be given back at the end; it is left to expire");
        }
    }
}

/// Ends when the lease is no longer ours.
async fn give_back(shared: &Shared, lease: LeaseId, usage: Usage) {
    let options = &shared.options;
    let mut retrying = Retrying::new(options);
    loop {
        match within(options.lease_call_timeout, shared.leases.give_back(lease, shared.owner, usage)).await {
            Ok(()) => return,
            Err(error) => {
                let again_at = retrying.failed(Operation::GiveBack, Some(lease), &error);
                if is_final(&error) {
                    return;
                }
                sleep_until(again_at).await;
            }
        }
    }
}
