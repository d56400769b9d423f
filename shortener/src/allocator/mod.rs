//! The allocator: keeps ready codes at hand, so that a request takes one without waiting for anybody.
//!
//! It leases blocks ([`leasing`]), claims them one after the other ([`claiming`]), and encodes their ids into a queue from
//! which requests take ([`ready`]). What is leased and claimed is written in the [`book`], which does no I/O. One
//! background task does all of it and, in the end, hands back what was not used ([`drain`]).
//!
//! It must never hand out an id of a block whose claim it was not granted, nor one below a granted block's first unused id. That
//! leases overlap is expected, and harmless by the claims.

mod book;
mod claiming;
mod drain;
mod leasing;
pub mod metrics;
mod ready;
#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use token_service::{Leases, Owner};
use tokio::{
    sync::{Notify, watch},
    task::JoinHandle,
    time::{Instant, timeout},
};

use crate::{
    code::{Code, Codec},
    store::Claims,
};
use book::Book;
use ready::ReadyCodes;

/// Limits of waiting and retrying. None is on the path of a request.
#[derive(Debug, Clone)]
pub struct Options {
    /// How long one call to the lease store may take before it is given up and repeated: longer than a client of the token
    /// service gives its own attempts, which end with a better sentence.
    pub lease_call_timeout: Duration,
    /// How long one claim may take before its block is skipped. A claim that was refused for overload skips nothing: it is
    /// repeated after a pause.
    pub claim_timeout: Duration,
    /// The pause after a first failure; it doubles with every further one.
    pub backoff_min: Duration,
    /// The longest pause between two attempts.
    pub backoff_max: Duration,
    /// How often a claimed block is tried to be handed back at the end, before its unused ids are lost; and a finished lease to be
    /// given back, before it is left to expire.
    pub hand_back_attempts: u32,
    /// How long giving leases back at the end may take, all together: those that are not given back by then expire.
    pub give_back_wait: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            lease_call_timeout: LEASE_CALL_TIMEOUT,
            claim_timeout: Duration::from_secs(10),
            backoff_min: Duration::from_millis(100),
            backoff_max: Duration::from_secs(10),
            hand_back_attempts: 5,
            give_back_wait: Duration::from_secs(3),
        }
    }
}

const LEASE_CALL_TIMEOUT: Duration = Duration::from_secs(10);
const _: () = assert!(LEASE_CALL_TIMEOUT.as_millis() > token_service::client::CALL_TIMEOUT.as_millis());

/// A code that nobody had before, and the id it was made from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ready {
    pub id: u64,
    pub code: Code,
}

/// No code could be had: answer 503 with Retry-After.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoCodes {
    /// All leased blocks are used up, or none is leased yet, and no more came in time.
    #[error("no code is at hand: the lease store or the link store does not answer")]
    Exhausted,
    /// The allocator was closed.
    #[error("no code is given out any more: this instance is stopping")]
    Closed,
}

/// What could not be handed back at the end. Nothing is unsafe by it, but the ids are lost. A lease that could not be given back is
/// no error: the lease store may be away, and leases expire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CloseError {
    #[error("{blocks} claimed blocks could not be handed back; their unused ids are lost")]
    NotHandedBack { blocks: usize },
    #[error("the allocator's background task had ended before; its claimed blocks were not handed back")]
    TaskEnded,
}

/// Hands out `(id, code)` pairs, each once. Cheap to clone; all clones are one allocator.
///
/// When the last clone is dropped without [`Allocator::close`], its work ends as in a crash: at most two claimed blocks are
/// lost, and the leases expire.
#[derive(Clone)]
pub struct Allocator {
    shared: Arc<Shared>,
    task: Arc<Task>,
}

/// What requests and the background task share.
struct Shared {
    owner: Owner,
    ready: ReadyCodes,
    leases: Arc<dyn Leases>,
    claims: Arc<dyn Claims>,
    codec: Arc<Codec>,
    options: Options,
    book: Mutex<Book>,
    /// A lease arrived, or a block was used up.
    wake_claiming: Notify,
    /// Blocks were claimed, or used up.
    wake_leasing: Notify,
    stopping: watch::Sender<bool>,
}

/// The background task, ended with the last [`Allocator`].
struct Task {
    handle: tokio::sync::Mutex<Option<JoinHandle<Result<(), CloseError>>>>,
    abort: tokio::task::AbortHandle,
    ended: watch::Receiver<()>,
}

impl Drop for Task {
    fn drop(&mut self) {
        self.abort.abort();
    }
}

impl Allocator {
    /// Starts to lease and claim in the background, as an owner that never was before. Must be called in a Tokio runtime, and
    /// `codec` must be of the id space of `leases`, to which the store of `claims` is pinned.
    pub fn start(leases: Arc<dyn Leases>, claims: Arc<dyn Claims>, codec: Arc<Codec>, options: Options) -> Self {
        metrics::describe();
        let owner = Owner::random();
        let shared = Arc::new(Shared {
            owner,
            ready: ReadyCodes::new(),
            leases,
            claims,
            codec,
            options,
            book: Mutex::new(Book::new(owner, Instant::now())),
            wake_claiming: Notify::new(),
            wake_leasing: Notify::new(),
            stopping: watch::Sender::new(false),
        });
        let (ended_sender, ended) = watch::channel(());
        let handle = tokio::spawn(run(Arc::clone(&shared), ended_sender));
        let abort = handle.abort_handle();
        Self { shared, task: Arc::new(Task { handle: Some(handle).into(), abort, ended }) }
    }

    /// This process, as leases and claims know it.
    pub fn owner(&self) -> Owner {
        self.shared.owner
    }

    /// A code, if one is at hand: some 10 ns (`tests/results/ids.md`), and no waiting.
    pub fn take(&self) -> Option<Ready> {
        let taken = self.shared.ready.take()?;
        if taken.was_last_of_block {
            self.shared.wake_claiming.notify_one();
        }
        Some(taken.ready)
    }

    /// A code, waited for if none is at hand. How many may wait is bounded by the caller's connections; how long, by
    /// `wait_max`.
    pub async fn take_or_wait(&self, wait_max: Duration) -> Result<Ready, NoCodes> {
        if let Some(ready) = self.take() {
            return Ok(ready);
        }
        metrics::code_awaited();
        let outcome = timeout(wait_max, self.wait()).await.unwrap_or(Err(NoCodes::Exhausted));
        if outcome.is_err() {
            metrics::no_codes();
        }
        outcome
    }

    async fn wait(&self) -> Result<Ready, NoCodes> {
        loop {
            let mut arrived = std::pin::pin!(self.shared.ready.arrived());
            // Registered before the queue is looked at, so that no arrival is missed in between.
            arrived.as_mut().enable();
            if self.shared.ready.is_closed() {
                return Err(NoCodes::Closed);
            }
            if let Some(ready) = self.take() {
                return Ok(ready);
            }
            arrived.await;
        }
    }

    /// Stops giving out codes, hands every claimed block back at its next unused id, and then the leases, so that no id is lost.
    /// How long this may take is the caller's to limit: dropped half-way, it goes on in the background.
    ///
    /// A [`take`](Self::take) that runs at this very moment gets nothing and may cost its id; so let requests end first.
    /// Closing again is fine.
    ///
    /// # Errors
    /// What could not be handed back, after some attempts.
    pub async fn close(&self) -> Result<(), CloseError> {
        self.shared.ready.close();
        self.shared.stopping.send_replace(true);
        let mut handle = self.task.handle.lock().await;
        let Some(task) = handle.as_mut() else { return Ok(()) };
        let outcome = task.await.unwrap_or(Err(CloseError::TaskEnded));
        *handle = None;
        outcome
    }

    /// Resolves when the background task has ended. Before [`close`](Self::close) that is a fault, and no more codes will come:
    /// stop the process.
    pub async fn ended(&self) {
        // Nothing is ever sent; an error says that the sender is gone, and with it the task.
        let _ = self.task.ended.clone().changed().await;
    }
}

/// The background task "allocator".
async fn run(shared: Arc<Shared>, _ended_when_dropped: watch::Sender<()>) -> Result<(), CloseError> {
    tokio::join!(leasing::keep_leases(&shared), claiming::keep_claims(&shared), metrics::keep_gauges(&shared));
    drain::drain(&shared).await
}

impl Shared {
    fn is_stopping(&self) -> bool {
        *self.stopping.borrow()
    }

    /// Resolves when [`Allocator::close`] was called.
    async fn stopped(&self) {
        // An error says that the sender is gone; it lives in `self`.
        let _ = self.stopping.subscribe().wait_for(|stopping| *stopping).await;
    }
}
