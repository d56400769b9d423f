//! A process that stands still between any two statements while others take its names, and then goes on.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    task::Poll,
};

use futures::{StreamExt, stream};

use shortener::store::scylla::ScyllaStore;

use crate::{
    keyspace::Keyspace,
    work::{Kind, NUMBERS, Work},
};

/// More steps than any work has.
const STEPS_MAX: u32 = 64;

/// Cases of one kind of work at the same time.
const LANES: u32 = 4;

/// Chains of cases at the same time.
const AT_ONCE: usize = 8;

/// Lets work go on for some steps: a step ends where it has to wait. Whether it came to its end.
async fn go_on(mut work: Pin<&mut impl Future>, steps: u32) -> bool {
    let mut left = steps;
    poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(false);
        }
        left -= 1;
        match work.as_mut().poll(context) {
            Poll::Ready(_) => Poll::Ready(true),
            Poll::Pending if left == 0 => Poll::Ready(false),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// Stops each kind of work at each step, from the first to the last, while something else is done to its names. When it has come to its end,
/// something is done `afterwards`.
async fn stall_each(
    kinds: &[Kind],
    meanwhile: impl AsyncFn(&Work, &ScyllaStore),
    afterwards: impl AsyncFn(&Work, &ScyllaStore),
) {
    let keyspace = Keyspace::new().await;
    let (slow, quick) = (keyspace.instance().await, keyspace.instance().await);
    let chains = kinds.iter().zip(1..).flat_map(|(kind, chain)| (0..LANES).map(move |lane| (kind, chain, lane)));
    let chains = chains.map(async |(kind, chain, lane)| {
        for steps in (lane..STEPS_MAX).step_by(LANES as usize) {
            let work = kind((chain * u64::from(STEPS_MAX) + u64::from(steps)) * NUMBERS);
            work.prepare(&quick).await;
            let mut run = pin!(work.run_against_others(&slow));
            let ended = go_on(run.as_mut(), steps).await;
            meanwhile(&work, &quick).await;
            work.is_consistent(&quick).await;
            if ended {
                assert!(steps > 2, "every work has some steps: {work:?}");
                return;
            }
            run.await;
            work.is_consistent(&quick).await;
            afterwards(&work, &quick).await;
        }
        panic!("it has more steps than there are cases");
    });
    stream::iter(chains).buffer_unordered(AT_ONCE).collect::<()>().await;
}

/// Seen to fail when a name was taken without ending the attempt that held it.
#[tokio::test]
#[ignore = "needs Cassandra: run by tests/run"]
async fn whoever_goes_on_after_others_took_the_names_writes_nothing_wrong() {
    stall_each(&Work::KINDS, async |work, store| work.take_names(store).await, nothing).await;
}

/// Seen to fail when a deleted link left no void row.
#[tokio::test]
#[ignore = "needs Cassandra: run by tests/run"]
async fn whoever_goes_on_after_the_link_was_deleted_does_not_bring_it_back() {
    let kinds: [Kind; 2] = [Work::create_repeatably, Work::create_full_repeatably];
    let meanwhile = async |work: &Work, store: &ScyllaStore| {
        work.repeat(store).await;
        work.delete_all(store).await;
        work.take_names(store).await;
    };
    stall_each(&kinds, meanwhile, nothing).await;
}

/// Seen to fail when a refused creation was only forgotten: it came into being after all, and its repetition was refused.
#[tokio::test]
#[ignore = "needs Cassandra: run by tests/run"]
async fn whoever_goes_on_after_the_creation_was_refused_does_not_make_the_link() {
    let kinds: [Kind; 1] = [Work::create_full_repeatably];
    let meanwhile = async |work: &Work, store: &ScyllaStore| work.be_refused(store).await;
    stall_each(&kinds, meanwhile, async |work, store| work.repeat(store).await).await;
}

async fn nothing(_: &Work, _: &ScyllaStore) {}

/// Seen to fail when an old name was let go as it was held after the change, not before.
#[tokio::test]
#[ignore = "needs Cassandra: run by tests/run"]
async fn whoever_goes_on_after_its_change_was_undone_leaves_the_names_alone() {
    let kinds: [Kind; 2] = [Work::rename, Work::relabel_and_archive];
    stall_each(&kinds, async |work, store| work.undo(store).await, nothing).await;
}

/// Two attempts to give a link the same name, of which the second is too late from the beginning, each stopped at each step: the first goes on
/// to its end, then the second.
///
/// Seen to fail when an attempt let go names that it had taken over from another attempt of its link.
#[tokio::test]
#[ignore = "needs Cassandra: run by tests/run"]
async fn an_attempt_that_comes_too_late_does_not_undo_another() {
    const FIRST_STEPS: u32 = 16;
    let keyspace = Keyspace::new().await;
    let (store, other) = (keyspace.instance().await, keyspace.instance().await);
    let chains = (1..FIRST_STEPS).map(async |first| {
        for second in 0..STEPS_MAX {
            let late = Work::rename((u64::from(first) * u64::from(STEPS_MAX) + u64::from(second)) * NUMBERS);
            late.prepare(&other).await;
            let timely = late.of_next_revision(&other).await;
            let mut one = pin!(timely.run_against_others(&store));
            let mut two = pin!(late.run_against_others(&other));
            let one_ended = go_on(one.as_mut(), first).await;
            let two_ended = go_on(two.as_mut(), second).await;
            if !one_ended {
                one.await;
            }
            if !two_ended {
                two.await;
            }
            timely.is_consistent(&store).await;
            assert!(timely.is_done(&store).await, "{timely:?}");
            if two_ended {
                return;
            }
        }
        panic!("it has more steps than there are cases");
    });
    stream::iter(chains).buffer_unordered(AT_ONCE).collect::<()>().await;
}
