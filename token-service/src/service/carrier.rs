//! Carries calls to the lease store: a decorator of the seam "leases".
//!
//! Each call is a task of the service's own runtime, so that what it opens outlives the worker thread that was asked. When its caller
//! goes away or its deadline passes, the call is dropped: by the contract of the store it is then carried out whole or not at
//! all, and one that still waits there is not kept for nobody.

#[cfg(test)]
mod tests;

use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use tokio::{
    runtime::Handle,
    sync::Semaphore,
    task::AbortHandle,
    time::{Duration, timeout},
};

use traces::Kind;

use super::metrics;
use crate::{
    Account, IdSpace, Lease, LeaseError, LeaseId, LeaseRecord, LeaseRecords, LeaseRequest, LeaseStore, Leases, Owner,
    RecordFilter, Usage,
};

/// How long a caller waits at most for a call to be carried out: less than a step of stopping takes by default.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(8);

/// Calls that may be under way at once, each a task: enough for ten thousand instances that start together. One more is
/// [`LeaseError::Overloaded`].
pub const CALLS_MAX: u32 = 16_384;

/// The lease store as the handlers see it. Until there is one, every call is [`LeaseError::Unavailable`].
pub struct Carrier {
    runtime: Handle,
    opened: OnceLock<Opened>,
    permits: Arc<Semaphore>,
}

struct Opened {
    store: Arc<dyn LeaseStore>,
    id_space: IdSpace,
}

/// Why a call was given up.
#[derive(Debug, thiserror::Error)]
enum GivenUp {
    #[error("it has not answered since the start")]
    NotOpen,
    #[error("no answer within {} seconds", CALL_TIMEOUT.as_secs())]
    Late,
    #[error("the call ended early: {0}")]
    Ended(#[from] tokio::task::JoinError),
}

impl From<GivenUp> for LeaseError {
    fn from(why: GivenUp) -> Self {
        LeaseError::Unavailable(Box::new(why))
    }
}

impl Carrier {
    /// A carrier without a store yet; calls will run on `runtime`.
    pub fn new(runtime: Handle) -> Self {
        metrics::calls_max(CALLS_MAX);
        Carrier { runtime, opened: OnceLock::new(), permits: Arc::new(Semaphore::new(CALLS_MAX as usize)) }
    }

    /// Gives it the store, once; the id space is asked for here, and never again.
    pub async fn set_store(&self, store: Arc<dyn LeaseStore>) -> Result<(), LeaseError> {
        let id_space = store.id_space().await?;
        let again = self.opened.set(Opened { store, id_space }).is_err();
        assert!(!again, "a carrier is given one store");
        Ok(())
    }

    pub fn has_store(&self) -> bool {
        self.opened.get().is_some()
    }

    /// Whether the store is still of the id space that it was of when it was given; an error if not, or if it does not say.
    pub async fn confirm_id_space(&self) -> Result<(), LeaseError> {
        let ours = self.opened()?.id_space.fingerprint();
        let theirs = self.carry(|store| async move { store.id_space().await }).await?.fingerprint();
        if ours == theirs { Ok(()) } else { Err(LeaseError::WrongIdSpace { ours, theirs }) }
    }

    fn opened(&self) -> Result<&Opened, LeaseError> {
        self.opened.get().ok_or_else(|| GivenUp::NotOpen.into())
    }

    async fn carry<T, F>(&self, call: impl FnOnce(Arc<dyn LeaseStore>) -> F) -> Result<T, LeaseError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, LeaseError>> + Send + 'static,
    {
        let store = Arc::clone(&self.opened()?.store);
        let permit = Arc::clone(&self.permits).try_acquire_owned().map_err(|_| LeaseError::Overloaded)?;
        let under_way = metrics::CallUnderWay::begin();
        let call = call(store);
        let span = traces::child(Kind::INTERNAL, "ask the database");
        let mut task = self.runtime.spawn(async move {
            let _until_done = (permit, under_way);
            call.await
        });
        let _dropped_with_its_caller = AbortOnDrop(task.abort_handle());
        let carried = match timeout(CALL_TIMEOUT, &mut task).await {
            Ok(Ok(carried)) => carried,
            Ok(Err(ended)) => Err(GivenUp::from(ended).into()),
            Err(_) => Err(GivenUp::Late.into()),
        };
        // A refusal is an answer.
        if matches!(carried, Err(LeaseError::Unavailable(_) | LeaseError::Overloaded)) {
            span.failed();
        }
        carried
    }
}

/// Ends a task that nobody waits for any more.
struct AbortOnDrop(AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[async_trait]
impl Leases for Carrier {
    async fn id_space(&self) -> Result<IdSpace, LeaseError> {
        Ok(self.opened()?.id_space.clone())
    }

    async fn lease(&self, request: &LeaseRequest) -> Result<Lease, LeaseError> {
        let request = request.clone();
        self.carry(|store| async move { store.lease(&request).await }).await
    }

    async fn renew(&self, lease: LeaseId, owner: Owner, usage: Usage) -> Result<(), LeaseError> {
        self.carry(move |store| async move { store.renew(lease, owner, usage).await }).await
    }

    async fn give_back(&self, lease: LeaseId, owner: Owner, usage: Usage) -> Result<(), LeaseError> {
        self.carry(move |store| async move { store.give_back(lease, owner, usage).await }).await
    }

    /// Waits for the calls under way, takes no more, and closes the store.
    async fn close(&self) {
        let all = self.permits.acquire_many(CALLS_MAX).await;
        self.permits.close();
        drop(all);
        if let Some(opened) = self.opened.get() {
            opened.store.close().await;
        }
    }
}

#[async_trait]
impl LeaseRecords for Carrier {
    async fn records(
        &self,
        filter: RecordFilter,
        after: Option<LeaseId>,
        limit: u32,
    ) -> Result<Vec<LeaseRecord>, LeaseError> {
        self.carry(move |store| async move { store.records(filter, after, limit).await }).await
    }

    async fn account(&self) -> Result<Account, LeaseError> {
        self.carry(|store| async move { store.account().await }).await
    }
}
