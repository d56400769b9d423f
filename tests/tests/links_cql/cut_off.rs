//! A process that is killed between any two statements, and answers that get lost: nothing half-done is ever seen, and nothing
//! stands in the way of what comes next.

use futures::future::join_all;
use shortener::store::{StoreError, scylla::ScyllaStore};

use crate::{
    keyspace::Keyspace,
    work::{Kind, NUMBERS, Work},
};

/// More statements than any work takes.
const STATEMENTS_MAX: u32 = 24;

/// What happens after the fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    Repeat,
    OthersTakeTheNames,
}

/// Does each kind of work with each fault, from the first statement to the last, and checks what is left from another instance. `fault` does the
/// work and tells whether there was a fault.
async fn after_each(fault: impl AsyncFn(&ScyllaStore, &Work, u32) -> bool) {
    let keyspace = Keyspace::new().await;
    let chains = Work::KINDS.into_iter().flat_map(|kind| [(kind, Then::Repeat), (kind, Then::OthersTakeTheNames)]);
    let chains = chains.zip(1..).map(|((kind, then), chain)| {
        let first = chain * u64::from(STATEMENTS_MAX) * NUMBERS;
        chain_of(&keyspace, kind, then, first, &fault)
    });
    join_all(chains).await;
}

async fn chain_of(
    keyspace: &Keyspace,
    kind: Kind,
    then: Then,
    first: u64,
    fault: impl AsyncFn(&ScyllaStore, &Work, u32) -> bool,
) {
    let (store, onlooker) = (keyspace.instance().await, keyspace.instance().await);
    for number in 1..STATEMENTS_MAX {
        let work = kind(first + u64::from(number) * NUMBERS);
        work.prepare(&onlooker).await;
        let showed = fault(&store, &work, number).await;
        work.is_consistent(&onlooker).await;
        match then {
            Then::Repeat => work.repeat(&onlooker).await,
            Then::OthersTakeTheNames => work.take_names(&onlooker).await,
        }
        work.is_consistent(&onlooker).await;
        if !showed {
            assert!(number > 2, "every work takes two statements: {work:?}");
            return;
        }
    }
    panic!("it takes more statements than there are cases");
}

/// Seen to fail when a link was written before its names were taken, when an old name was let go before the change was written,
/// when a name was taken for its link from whoever held it without a look, and when a held name was taken to be a link's.
#[tokio::test]
#[ignore = "needs Cassandra: run by tests/run"]
async fn whoever_is_killed_between_two_statements_leaves_nothing_wrong() {
    after_each(async |store, work, number| store.faults().cut_off_after(number - 1, work.run(store)).await.is_none())
        .await;
}

/// Seen to fail when a refusal was believed after an answer that was lost, and when names were let go after one.
#[tokio::test]
#[ignore = "needs Cassandra: run by tests/run"]
async fn an_answer_that_gets_lost_is_a_write_that_happened() {
    after_each(async |store, work, number| {
        let (outcome, showed) = store.faults().lose_answer(number, work.run(store)).await;
        check(store, work, outcome, showed).await
    })
    .await;
}

/// Seen to fail when ...
#[tokio::test]
#[ignore = "needs Cassandra: run by tests/run"]
async fn a_statement_that_gets_lost_is_not_taken_for_one_that_was_carried_out() {
    after_each(async |store, work, number| {
        let (outcome, showed) = store.faults().lose_statement(number, work.run(store)).await;
        check(store, work, outcome, showed).await
    })
    .await;
}

/// What was answered is there, and what was not answered is said to be unclear.
async fn check(store: &ScyllaStore, work: &Work, outcome: Result<(), StoreError>, showed: bool) -> bool {
    match outcome {
        Ok(()) => assert!(work.is_done(store).await, "what was answered is there: {work:?}"),
        Err(error) => assert!(showed && matches!(error, StoreError::Unavailable(_)), "{error:?} of {work:?}"),
    }
    showed
}
