use std::sync::atomic::{AtomicU32, Ordering};

use futures::{FutureExt, future::join_all};
use tokio::sync::Notify;
use traces::testing::Trace;
use uuid::Uuid;

use super::*;

/// Answers once it is let go, and counts what it carried out.
#[derive(Default)]
struct SlowStore {
    begun: AtomicU32,
    done: AtomicU32,
    closed: AtomicU32,
    go: Notify,
}

#[async_trait]
impl Leases for SlowStore {
    async fn id_space(&self) -> Result<IdSpace, LeaseError> {
        Ok(IdSpace::new([7; 32]))
    }

    async fn lease(&self, request: &LeaseRequest) -> Result<Lease, LeaseError> {
        self.begun.fetch_add(1, Ordering::SeqCst);
        self.go.notified().await;
        self.done.fetch_add(1, Ordering::SeqCst);
        Ok(Lease { id: LeaseId(1), first: crate::Block(0), blocks: request.blocks, ttl_ms: 1000 })
    }

    async fn renew(&self, _: LeaseId, _: Owner, _: Usage) -> Result<(), LeaseError> {
        panic!("a renewal that panics")
    }

    async fn give_back(&self, _: LeaseId, _: Owner, _: Usage) -> Result<(), LeaseError> {
        Ok(())
    }

    async fn close(&self) {
        self.closed.store(self.done.load(Ordering::SeqCst), Ordering::SeqCst);
    }
}

#[async_trait]
impl LeaseRecords for SlowStore {
    async fn records(&self, _: RecordFilter, _: Option<LeaseId>, _: u32) -> Result<Vec<LeaseRecord>, LeaseError> {
        Ok(Vec::new())
    }

    async fn account(&self) -> Result<Account, LeaseError> {
        Ok(Account::default())
    }
}

async fn carried() -> (Arc<SlowStore>, Carrier) {
    let store = Arc::new(SlowStore::default());
    let carrier = Carrier::new(Handle::current());
    carrier.set_store(store.clone()).await.unwrap();
    (store, carrier)
}

fn request() -> LeaseRequest {
    LeaseRequest { request_id: Uuid::new_v4(), owner: Owner::random(), blocks: 1 }
}

/// Lets the tasks run until so many calls have come to the store.
async fn until_begun(store: &SlowStore, calls: u32) {
    while store.begun.load(Ordering::SeqCst) < calls {
        tokio::task::yield_now().await;
    }
}

/// Seen to fail when the call's task went on without its caller.
#[tokio::test]
async fn the_call_of_a_caller_that_goes_away_is_dropped() {
    let (store, carrier) = carried().await;
    let request = request();
    let mut call = carrier.lease(&request).boxed();
    assert!(futures::poll!(&mut call).is_pending());
    until_begun(&store, 1).await;
    drop(call);
    carrier.close().await;
    assert_eq!(store.done.load(Ordering::SeqCst), 0);
}

/// Seen to fail when closing did not wait for the calls under way.
#[tokio::test]
async fn closing_waits_for_calls_and_takes_no_more() {
    let (store, carrier) = carried().await;
    let request = request();
    let mut call = carrier.lease(&request).boxed();
    assert!(futures::poll!(&mut call).is_pending());
    until_begun(&store, 1).await;
    let mut closing = carrier.close().boxed();
    assert!(futures::poll!(&mut closing).is_pending());
    store.go.notify_one();
    closing.await;
    assert_eq!(store.closed.load(Ordering::SeqCst), 1, "closed after the call was done");
    assert!(call.await.is_ok());
    assert!(matches!(carrier.account().await, Err(LeaseError::Overloaded)));
}

/// Seen to fail without a deadline: it then waited for ever; and when the call's own task had its span.
#[tokio::test(start_paused = true)]
async fn a_late_call_is_unavailable() {
    let (store, carrier) = carried().await;
    let trace = Trace::begin();
    let late = trace.span().around(carrier.lease(&request())).await.unwrap_err();
    assert!(matches!(late, LeaseError::Unavailable(_)), "{late}");
    assert_eq!(trace.failures("ask the database"), [true]);
    carrier.close().await;
    assert_eq!(store.done.load(Ordering::SeqCst), 0);
}

/// Seen to fail when a permit was given back while its call went on.
#[tokio::test]
async fn calls_beyond_the_limit_are_refused_and_do_nothing() {
    let (store, carrier) = carried().await;
    let requests: Vec<_> = (0..CALLS_MAX).map(|_| request()).collect();
    let mut calls = join_all(requests.iter().map(|request| carrier.lease(request))).boxed();
    assert!(futures::poll!(&mut calls).is_pending());
    assert!(matches!(carrier.lease(&request()).await, Err(LeaseError::Overloaded)));
    until_begun(&store, CALLS_MAX).await;
    store.go.notify_waiters();
    calls.await;
    carrier.close().await;
    assert_eq!(store.done.load(Ordering::SeqCst), CALLS_MAX);
}

#[tokio::test]
async fn a_call_that_panics_is_unavailable_and_leaves_the_rest_alone() {
    let (_, carrier) = carried().await;
    let (lease, owner) = (LeaseId(1), Owner::random());
    let renewed = carrier.renew(lease, owner, Usage::default()).await;
    assert!(matches!(renewed, Err(LeaseError::Unavailable(_))));
    assert!(carrier.give_back(lease, owner, Usage::default()).await.is_ok());
}
