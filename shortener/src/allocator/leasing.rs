//! Keeps blocks leased: asks for the next lease in time, renews leases, gives finished ones back.

use std::{future::Future, time::Duration};

use token_service::{LeaseError, LeaseId, LeaseRequest, Usage};
use tokio::time::{Instant, sleep_until, timeout};

use super::{
    Shared,
    backoff::Backoff,
    book::Step,
    metrics::{self, HandBack, Operation},
};

/// Carries out what the book says is next, until the allocator stops.
pub(super) async fn keep_leases(shared: &Shared) {
    let options = &shared.options;
    let mut asking = Backoff::new(options.backoff_min, options.backoff_max);
    let mut upkeep = Backoff::new(options.backoff_min, options.backoff_max);
    while !shared.is_stopping() {
        let step = shared.book.lock().next_step(Instant::now());
        match step {
            Step::Lease(request) => ask(shared, &request, &mut asking).await,
            Step::Renew(lease, usage) => renew(shared, lease, usage, &mut upkeep).await,
            Step::GiveBack(lease, usage) => give_back(shared, lease, usage, &mut upkeep).await,
            Step::Wait(until) => wait(shared, until).await,
        }
    }
}

async fn wait(shared: &Shared, until: Option<Instant>) {
    let due = async {
        match until {
            Some(until) => sleep_until(until).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = due => {}
        _ = shared.wake_leasing.notified() => {}
        _ = shared.stopped() => {}
    }
}

async fn ask(shared: &Shared, request: &LeaseRequest, backoff: &mut Backoff) {
    let asked_at = Instant::now();
    match within(shared.options.lease_call_timeout, shared.leases.lease(request)).await {
        Ok(lease) => {
            backoff.reset();
            metrics::leased();
            tracing::debug!(lease = lease.id.0, first = lease.first.0, blocks = lease.blocks, "leased");
            shared.book.lock().leased(lease, asked_at);
            shared.wake_claiming.notify_one();
        }
        Err(error) => {
            failed(Operation::Lease, None, &error);
            let again_at = Instant::now() + backoff.pause();
            let mut book = shared.book.lock();
            if matches!(error, LeaseError::Invalid(_)) {
                book.forget_request();
            }
            book.ask_again(again_at);
        }
    }
}

async fn renew(shared: &Shared, lease: LeaseId, usage: Usage, backoff: &mut Backoff) {
    let asked_at = Instant::now();
    match within(shared.options.lease_call_timeout, shared.leases.renew(lease, shared.owner, usage)).await {
        Ok(()) => {
            backoff.reset();
            shared.book.lock().renewed(lease, asked_at);
        }
        Err(error) if is_final(&error) => lose(shared, lease, &error),
        Err(error) => {
            failed(Operation::Renew, Some(lease), &error);
            shared.book.lock().renew_again(lease, Instant::now() + backoff.pause());
        }
    }
}

async fn give_back(shared: &Shared, lease: LeaseId, usage: Usage, backoff: &mut Backoff) {
    match within(shared.options.lease_call_timeout, shared.leases.give_back(lease, shared.owner, usage)).await {
        Ok(()) => {
            backoff.reset();
            shared.book.lock().forget(lease);
        }
        Err(error) if is_final(&error) => lose(shared, lease, &error),
        Err(error) => {
            failed(Operation::GiveBack, Some(lease), &error);
            let again_at = Instant::now() + backoff.pause();
            if shared.book.lock().give_back_again(lease, again_at, shared.options.hand_back_attempts) {
                metrics::hand_back_failed(HandBack::Lease);
                tracing::warn!(lease = lease.0, "a finished lease could not be given back; it is left to expire");
            }
        }
    }
}

/// Repeating the call would change nothing.
pub(super) fn is_final(error: &LeaseError) -> bool {
    matches!(error, LeaseError::NotHeld(_) | LeaseError::Invalid(_))
}

fn lose(shared: &Shared, lease: LeaseId, error: &LeaseError) {
    metrics::lease_lost();
    tracing::warn!(lease = lease.0, %error, "a lease is lost; its unclaimed blocks are dropped");
    shared.book.lock().forget(lease);
}

/// Counts and logs a failed call that will be repeated.
pub(super) fn failed(operation: Operation, lease: Option<LeaseId>, error: &LeaseError) {
    metrics::lease_failed(operation);
    tracing::warn!(operation = operation.name(), lease = lease.map(|id| id.0), %error, "a call to the lease store failed");
}

/// A call that takes too long is one without an answer.
pub(super) async fn within<T>(
    limit: Duration,
    call: impl Future<Output = Result<T, LeaseError>>,
) -> Result<T, LeaseError> {
    timeout(limit, call).await.unwrap_or_else(|late| Err(LeaseError::Unavailable(Box::new(late))))
}
