//! Keeps blocks leased: asks for the next lease in time, renews leases, gives finished ones back.

use std::{
    future::Future,
    mem::{Discriminant, discriminant},
    time::Duration,
};

use token_service::{LeaseError, LeaseId, LeaseRequest, Usage};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use traces::{Kind, Span};

use super::{
    Options, Shared,
    book::Step,
    metrics::{self, HandBack, Operation},
};
use crate::{backoff::Backoff, outage::Outage};

/// How long a call that is under way when the allocator stops may go on: what is claimed is waiting to be handed back. A lease
/// whose answer is not waited for expires.
const LAST_CALL_WAIT: Duration = Duration::from_secs(1);

/// Carries out what the book says is next, until the allocator stops.
pub(super) async fn keep_leases(shared: &Shared) {
    // Apart, as the lease store may renew leases and have none to give.
    let (mut asking, mut upkeep) = (Retrying::new(&shared.options), Retrying::new(&shared.options));
    while !shared.is_stopping() {
        let step = shared.book.lock().next_step(Instant::now());
        let carried_out = async {
            match step {
                Step::Lease(request) => ask(shared, &request, &mut asking).await,
                Step::Renew(lease, usage) => renew(shared, lease, usage, &mut upkeep).await,
                Step::GiveBack(lease, usage) => give_back(shared, lease, usage, &mut upkeep).await,
                Step::Wait(until) => wait(shared, until).await,
            }
        };
        tokio::select! {
            () = carried_out => {}
            () = too_late(shared) => tracing::info!("a call to the lease store is left behind"),
        }
    }
}

async fn too_late(shared: &Shared) {
    shared.stopped().await;
    sleep(LAST_CALL_WAIT).await;
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

async fn ask(shared: &Shared, request: &LeaseRequest, asking: &mut Retrying) {
    let asked_at = Instant::now();
    match traced("lease blocks", shared, shared.leases.lease(request)).await {
        Ok(lease) => {
            asking.succeeded();
            metrics::leased();
            tracing::debug!(lease = lease.id.0, first = lease.first.0, blocks = lease.blocks, "leased");
            shared.book.lock().leased(lease, asked_at);
            shared.wake_claiming.notify_one();
        }
        Err(error) => {
            let again_at = asking.failed(Operation::Lease, None, &error);
            let mut book = shared.book.lock();
            match error {
                LeaseError::Invalid(_) => book.forget_request(),
                // It may not know yet what was used.
                LeaseError::TooManyUnused { .. } => book.report_now(asked_at),
                _ => {}
            }
            book.ask_again(again_at);
        }
    }
}

async fn renew(shared: &Shared, lease: LeaseId, usage: Usage, upkeep: &mut Retrying) {
    let asked_at = Instant::now();
    match traced("renew a lease", shared, shared.leases.renew(lease, shared.owner, usage)).await {
        Ok(()) => {
            upkeep.succeeded();
            shared.book.lock().renewed(lease, asked_at);
        }
        Err(error) if is_final(&error) => lose(shared, lease, &error, upkeep),
        Err(error) => {
            let again_at = upkeep.failed(Operation::Renew, Some(lease), &error);
            shared.book.lock().renew_again(lease, again_at);
        }
    }
}

async fn give_back(shared: &Shared, lease: LeaseId, usage: Usage, upkeep: &mut Retrying) {
    match traced("return a lease", shared, shared.leases.give_back(lease, shared.owner, usage)).await {
        Ok(()) => {
            upkeep.succeeded();
            shared.book.lock().forget(lease);
        }
        Err(error) if is_final(&error) => lose(shared, lease, &error, upkeep),
        Err(error) => {
            let again_at = upkeep.failed(Operation::GiveBack, Some(lease), &error);
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

fn lose(shared: &Shared, lease: LeaseId, error: &LeaseError, upkeep: &mut Retrying) {
    upkeep.succeeded();
    metrics::lease_lost();
    tracing::warn!(lease = lease.0, %error, "a lease is lost; its unclaimed blocks are dropped");
    shared.book.lock().forget(lease);
}

/// When failed calls are repeated, and which of the failures are logged: the first one of a kind, and one a minute.
pub(super) struct Retrying {
    backoff: Backoff,
    outage: Outage,
    kind: Option<Discriminant<LeaseError>>,
}

impl Retrying {
    pub(super) fn new(options: &Options) -> Self {
        let backoff = Backoff::new(options.backoff_min, options.backoff_max);
        Self { backoff, outage: Outage::default(), kind: None }
    }

    fn succeeded(&mut self) {
        self.backoff.reset();
        self.kind = None;
        if let Some(over) = self.outage.answered(Instant::now()) {
            let lasted_ms = over.lasted.as_millis() as u64;
            tracing::info!(lasted_ms, failures = over.failures, "the lease store does as it is asked again");
        }
    }

    /// Counts a failed call, and says when to repeat it.
    pub(super) fn failed(&mut self, operation: Operation, lease: Option<LeaseId>, error: &LeaseError) -> Instant {
        metrics::lease_failed(operation);
        if self.kind.replace(discriminant(error)) != Some(discriminant(error)) {
            self.outage = Outage::default();
        }
        let now = Instant::now();
        if let Some(failures) = self.outage.failed(now) {
            let (operation, lease) = (operation.name(), lease.map(|id| id.0));
            if needs_a_person(error) {
                tracing::error!(operation, lease, failures, %error, "a call to the lease store failed");
            } else {
                tracing::warn!(operation, lease, failures, %error, "a call to the lease store failed");
            }
        }
        now + self.backoff.pause()
    }
}

/// It will not pass by itself.
fn needs_a_person(error: &LeaseError) -> bool {
    matches!(error, LeaseError::Exhausted | LeaseError::WrongIdSpace { .. } | LeaseError::Unauthorized)
}

/// A call that is traced or not as the ratio wants it: it belongs to no request. It takes no longer than it may.
async fn traced<T>(
    name: &'static str,
    shared: &Shared,
    call: impl Future<Output = Result<T, LeaseError>>,
) -> Result<T, LeaseError> {
    let span = Span::of(None, Kind::INTERNAL, name);
    let answered = within(shared.options.lease_call_timeout, span.around(call)).await;
    span.outcome(answered)
}

/// A call that takes too long is one without an answer.
pub(super) async fn within<T>(
    limit: Duration,
    call: impl Future<Output = Result<T, LeaseError>>,
) -> Result<T, LeaseError> {
    timeout(limit, call).await.unwrap_or_else(|late| Err(LeaseError::Unavailable(Box::new(late))))
}
