//! The suite that every implementation of [`Leases`] must pass, unchanged.
//!
//! A backend implements [`Harness`] and calls [`leases_conformance!`](crate::leases_conformance) with an expression that
//! makes one; each case becomes a test. The suite uses nothing but the trait.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    future::{Future, poll_fn},
    sync::Arc,
    task::Poll,
    time::Duration,
};

use async_trait::async_trait;
use futures::future::join_all;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use uuid::Uuid;

use crate::{
    Account, Block, Ended, Lease, LeaseError, LeaseId, LeaseRecord, LeaseRequest, LeaseState, LeaseStore, Owner,
    RecordFilter, UNUSED_BLOCKS_MAX, Usage,
};

/// More steps than any call takes.
const DROPPED_STEPS_MAX: u32 = 24;

/// A store of its own for one case: empty at first.
#[async_trait]
pub trait Harness: Send {
    /// The store, as the next caller would reach it.
    fn leases(&self) -> Arc<dyn LeaseStore>;

    /// Closes the store and opens it again, as a restart of its process would.
    async fn reopen(&mut self);

    /// Lets this much time pass on the clock by which leases expire.
    async fn advance(&mut self, by: Duration);
}

/// Makes one test of each case of the suite: `leases_conformance!(MyHarness::new().await)`; with `ignore = "why";` before it, they
/// are run only where they are asked for.
#[macro_export]
macro_rules! leases_conformance {
    (ignore = $why:literal; $make:expr) => {
        $crate::leases_conformance!(@suite [#[ignore = $why]] $make);
    };
    (@suite $attributes:tt $make:expr) => {
        $crate::leases_conformance!(@cases $attributes $make;
            id_space_stays_the_same,
            open_leases_share_no_block,
            concurrent_leases_share_no_block,
            a_repeated_request_gets_the_same_lease,
            wrong_requests_are_refused,
            unused_blocks_come_back,
            neighbouring_blocks_come_back_together,
            giving_back_twice_changes_nothing,
            only_the_owner_renews_and_gives_back,
            an_expired_lease_is_leased_again,
            renewing_puts_off_the_end,
            usage_never_goes_back,
            an_owner_holds_few_unused_blocks,
            the_record_pages,
            the_record_is_searched,
            the_account_follows_every_block,
            the_rate_is_of_the_last_day,
            a_dropped_call_is_whole_or_nothing,
            random_operations_keep_the_accounts,
        );
    };
    (@cases $attributes:tt $make:expr; $($case:ident),* $(,)?) => {
        $($crate::leases_conformance!(@case $attributes $make; $case);)*
    };
    (@case [$($attribute:tt)*] $make:expr; $case:ident) => {
        #[tokio::test]
        $($attribute)*
        async fn $case() {
            $crate::conformance::$case(&mut $make).await;
        }
    };
    ($make:expr) => {
        $crate::leases_conformance!(@suite [] $make);
    };
}

fn request(owner: Owner, blocks: u32) -> LeaseRequest {
    LeaseRequest { request_id: Uuid::new_v4(), owner, blocks }
}

async fn lease(leases: &dyn LeaseStore, owner: Owner, blocks: u32) -> Lease {
    leases.lease(&request(owner, blocks)).await.expect("a lease")
}

fn usage(used: u32, refused: u32) -> Usage {
    Usage { used, refused }
}

/// The whole record, read in pages of three.
async fn record(leases: &dyn LeaseStore) -> Vec<LeaseRecord> {
    let mut rows: Vec<LeaseRecord> = Vec::new();
    loop {
        let page =
            leases.records(RecordFilter::default(), rows.last().map(|row| row.lease.id), 3).await.expect("the record");
        if page.is_empty() {
            return rows;
        }
        assert!(rows.last().is_none_or(|last| page[0].lease.id > last.lease.id), "the same page again: {page:?}");
        rows.extend(page);
    }
}

async fn record_of(leases: &dyn LeaseStore, lease: LeaseId) -> LeaseRecord {
    record(leases).await.into_iter().find(|row| row.lease.id == lease).expect("no lease leaves the record")
}

fn assert_not_held(outcome: Result<(), LeaseError>, lease: LeaseId) {
    assert!(matches!(outcome, Err(LeaseError::NotHeld(named)) if named == lease), "{outcome:?}");
}

/// Seen to fail when the key is made anew at every opening.
pub async fn id_space_stays_the_same(harness: &mut impl Harness) {
    let before = harness.leases().id_space().await.expect("an id space");
    lease(&*harness.leases(), Owner::random(), 1).await;
    harness.reopen().await;
    assert_eq!(harness.leases().id_space().await.expect("an id space"), before);
}

/// Seen to fail when the high-water mark is raised by one block fewer than were leased.
pub async fn open_leases_share_no_block(harness: &mut impl Harness) {
    let mut seen = HashSet::new();
    for blocks in [1, 3, 2, Lease::BLOCKS_MAX] {
        let leased = lease(&*harness.leases(), Owner::random(), blocks).await;
        assert!((1..=blocks).contains(&leased.blocks) && leased.ttl_ms > 0, "{leased:?}");
        assert!(leased.blocks().all(|block| seen.insert(block)), "{leased:?}");
        harness.reopen().await;
    }
}

/// Seen to fail when the answers of a batch are mixed up, and when the same blocks are leased twice in one.
pub async fn concurrent_leases_share_no_block(harness: &mut impl Harness) {
    let tasks: Vec<_> = (0..16)
        .map(|_| {
            let leases = harness.leases();
            let owner = Owner::random();
            tokio::spawn(async move { (lease(&*leases, owner, 2).await, owner) })
        })
        .collect();
    let mut seen = HashSet::new();
    for task in tasks {
        let (lease, owner) = task.await.expect("the task ends");
        assert!(lease.blocks().all(|block| seen.insert(block)));
        assert_eq!(record_of(&*harness.leases(), lease.id).await.owner, owner);
    }
}

/// Seen to fail when a request is not looked up before new blocks are leased.
pub async fn a_repeated_request_gets_the_same_lease(harness: &mut impl Harness) {
    let leases = harness.leases();
    let owner = Owner::random();
    let request = request(owner, 4);
    let first = leases.lease(&request).await.expect("a lease");
    assert_eq!(leases.lease(&request).await.expect("the same"), first);
    leases.give_back(first.id, owner, usage(1, 0)).await.expect("given back");
    harness.reopen().await;
    assert_eq!(harness.leases().lease(&request).await.expect("the same, though it has ended"), first);
    assert_eq!(record(&*harness.leases()).await.len(), 1);
}

/// Seen to fail when the bounds of `blocks` are not checked, and when a request's owner is not.
pub async fn wrong_requests_are_refused(harness: &mut impl Harness) {
    let leases = harness.leases();
    let owner = Owner::random();
    for blocks in [0, Lease::BLOCKS_MAX + 1, u32::MAX] {
        let outcome = leases.lease(&request(owner, blocks)).await;
        assert!(matches!(outcome, Err(LeaseError::Invalid(_))), "{outcome:?}");
    }
    let taken = request(owner, 1);
    leases.lease(&taken).await.expect("a lease");
    let outcome = leases.lease(&LeaseRequest { owner: Owner::random(), ..taken }).await;
    assert!(matches!(outcome, Err(LeaseError::Invalid(_))), "{outcome:?}");
    assert_eq!(record(&*leases).await.len(), 1);
}

/// Seen to fail when blocks are freed from the start of a lease and not from the end of its usage.
pub async fn unused_blocks_come_back(harness: &mut impl Harness) {
    let leases = harness.leases();
    let owner = Owner::random();
    let first = lease(&*leases, owner, 5).await;
    let untouched = lease(&*leases, owner, 1).await;
    leases.give_back(first.id, owner, usage(1, 1)).await.expect("given back");

    let again = lease(&*leases, Owner::random(), 8).await;
    assert_eq!((again.first, again.blocks), (Block(first.first.0 + 2), 3), "the free run first, even if it is short");
    let new = lease(&*leases, Owner::random(), 1).await;
    assert!(new.first > untouched.first);

    let row = record_of(&*leases, first.id).await;
    assert_eq!((row.usage, row.ended), (usage(1, 1), Some(Ended::Returned)));
}

/// Seen to fail when runs are not joined, on either side.
pub async fn neighbouring_blocks_come_back_together(harness: &mut impl Harness) {
    let leases = harness.leases();
    let owner = Owner::random();
    let mut three = Vec::new();
    for _ in 0..3 {
        three.push(lease(&*leases, owner, 2).await);
    }
    for index in [0, 2, 1] {
        leases.give_back(three[index].id, owner, Usage::default()).await.expect("given back");
    }
    let again = lease(&*leases, owner, 6).await;
    assert_eq!((again.first, again.blocks), (three[0].first, 6));
}

/// Seen to fail when giving back a returned lease frees its blocks once more.
pub async fn giving_back_twice_changes_nothing(harness: &mut impl Harness) {
    let leases = harness.leases();
    let owner = Owner::random();
    let first = lease(&*leases, owner, 3).await;
    leases.give_back(first.id, owner, usage(1, 0)).await.expect("given back");
    let ended = record_of(&*leases, first.id).await;
    let again = lease(&*leases, owner, 3).await;
    leases.give_back(first.id, owner, usage(2, 0)).await.expect("repeating is fine");
    assert_eq!(record_of(&*leases, first.id).await, ended);
    assert_not_held(leases.renew(first.id, owner, usage(2, 0)).await, first.id);
    let new = lease(&*leases, owner, 3).await;
    assert!(new.blocks().all(|block| again.blocks().all(|other| other != block)));
}

/// Seen to fail when the owner is not compared.
pub async fn only_the_owner_renews_and_gives_back(harness: &mut impl Harness) {
    let leases = harness.leases();
    let held = lease(&*leases, Owner::random(), 3).await;
    let other = Owner::random();
    assert_not_held(leases.renew(held.id, other, usage(1, 0)).await, held.id);
    assert_not_held(leases.give_back(held.id, other, usage(1, 0)).await, held.id);
    let unknown = LeaseId(held.id.0 + 1_000_000);
    assert_not_held(leases.renew(unknown, other, Usage::default()).await, unknown);
    assert_not_held(leases.give_back(unknown, other, Usage::default()).await, unknown);
    let row = record_of(&*leases, held.id).await;
    assert_eq!((row.usage, row.ended), (Usage::default(), None));
}

/// Seen to fail when nothing is reaped, and when an expired lease's usage is forgotten.
pub async fn an_expired_lease_is_leased_again(harness: &mut impl Harness) {
    let leases = harness.leases();
    let owner = Owner::random();
    let first = lease(&*leases, owner, 4).await;
    leases.renew(first.id, owner, usage(1, 0)).await.expect("renewed");
    harness.advance(first.ttl() + Duration::from_millis(1)).await;

    let again = lease(&*leases, Owner::random(), 4).await;
    assert_eq!((again.first, again.blocks), (Block(first.first.0 + 1), 3));
    assert_not_held(leases.renew(first.id, owner, usage(2, 0)).await, first.id);
    assert_not_held(leases.give_back(first.id, owner, usage(2, 0)).await, first.id);
    let row = record_of(&*leases, first.id).await;
    assert_eq!((row.usage, row.ended), (usage(1, 0), Some(Ended::Expired)));
}

/// Seen to fail when renewing leaves the end where it was.
pub async fn renewing_puts_off_the_end(harness: &mut impl Harness) {
    let leases = harness.leases();
    let owner = Owner::random();
    let held = lease(&*leases, owner, 2).await;
    for _ in 0..3 {
        harness.advance(held.ttl() * 2 / 3).await;
        leases.renew(held.id, owner, Usage::default()).await.expect("renewed");
        let other = lease(&*leases, Owner::random(), 1).await;
        assert!(held.blocks().all(|block| block != other.first));
    }
}

/// Seen to fail when the last report wins, and when more blocks may be reported than were leased.
pub async fn usage_never_goes_back(harness: &mut impl Harness) {
    let leases = harness.leases();
    let owner = Owner::random();
    let held = lease(&*leases, owner, 4).await;
    leases.renew(held.id, owner, usage(2, 1)).await.expect("renewed");
    leases.renew(held.id, owner, usage(1, 0)).await.expect("a late report");
    assert_eq!(record_of(&*leases, held.id).await.usage, usage(2, 1));
    for too_many in [usage(4, 0), usage(0, 3), usage(u32::MAX, u32::MAX)] {
        for outcome in [leases.renew(held.id, owner, too_many).await, leases.give_back(held.id, owner, too_many).await]
        {
            assert!(matches!(outcome, Err(LeaseError::Invalid(_))), "{outcome:?}");
        }
    }
    assert_eq!(record_of(&*leases, held.id).await.usage, usage(2, 1));
}

/// A store of the default limit, [`UNUSED_BLOCKS_MAX`].
///
/// Seen to fail when blocks are not counted, when those of a batch's own leases are not, and when what the database counts
/// leaves in what was used, refused, or came back.
pub async fn an_owner_holds_few_unused_blocks(harness: &mut impl Harness) {
    let leases = harness.leases();
    let greedy = Owner::random();
    let asked: Vec<_> = (0..8).map(|_| request(greedy, 200)).collect();
    let answers = join_all(asked.iter().map(|request| leases.lease(request))).await;
    let held: Vec<_> = answers.iter().flatten().collect();
    assert_eq!(held.iter().map(|lease| u64::from(lease.blocks)).sum::<u64>(), UNUSED_BLOCKS_MAX);
    let refused = answers.iter().filter_map(|answer| answer.as_ref().err());
    assert!(refused.clone().count() > 0);
    for error in refused {
        let LeaseError::TooManyUnused { owner, unused, max } = error else { panic!("{error}") };
        assert_eq!((*owner, *unused, *max), (greedy, UNUSED_BLOCKS_MAX, UNUSED_BLOCKS_MAX));
    }
    lease(&*leases, Owner::random(), 1).await;

    leases.renew(held[0].id, greedy, usage(3, 2)).await.expect("renewed");
    assert_eq!(lease(&*leases, greedy, 8).await.blocks, 5, "as many as were used or refused");
    let again = leases.lease(&request(greedy, 1)).await;
    assert!(matches!(again, Err(LeaseError::TooManyUnused { .. })), "{again:?}");
    leases.give_back(held[1].id, greedy, Usage::default()).await.expect("given back");
    lease(&*leases, greedy, 8).await;
}

/// Seen to fail when a page begins with the last lease of the one before it.
pub async fn the_record_pages(harness: &mut impl Harness) {
    let leases = harness.leases();
    let mut leased = Vec::new();
    for blocks in 1..=7 {
        let request = request(Owner::random(), blocks);
        leased.push((leases.lease(&request).await.expect("a lease"), request));
    }
    let rows = record(&*leases).await;
    assert_eq!(rows.len(), leased.len());
    for (row, (lease, request)) in rows.iter().zip(&leased) {
        assert_eq!((&row.lease, row.owner, row.request_id), (lease, request.owner, request.request_id));
        assert_eq!((row.usage, row.ended, row.ended_at_ms), (Usage::default(), None, None));
        assert!(row.leased_at_ms > 0 && row.renewed_at_ms == row.leased_at_ms);
    }
    assert!(leases.records(RecordFilter::default(), None, 0).await.expect("an empty page").is_empty());
}

/// Seen to fail when the owner, or the state, is not compared.
pub async fn the_record_is_searched(harness: &mut impl Harness) {
    let leases = harness.leases();
    let (one, other) = (Owner::random(), Owner::random());
    let expired = lease(&*leases, one, 1).await;
    harness.advance(expired.ttl() + Duration::from_millis(1)).await;
    let open = lease(&*leases, one, 1).await;
    let returned = lease(&*leases, one, 2).await;
    leases.give_back(returned.id, one, Usage::default()).await.expect("given back");
    let others = lease(&*leases, other, 1).await;

    for (state, owner, expected) in [
        (None, Some(one), vec![expired.id, open.id, returned.id]),
        (None, Some(other), vec![others.id]),
        (None, Some(Owner::random()), vec![]),
        (Some(LeaseState::Open), None, vec![open.id, others.id]),
        (Some(LeaseState::Open), Some(one), vec![open.id]),
        (Some(LeaseState::Returned), Some(one), vec![returned.id]),
        (Some(LeaseState::Expired), None, vec![expired.id]),
        (Some(LeaseState::Expired), Some(other), vec![]),
    ] {
        let filter = RecordFilter { state, owner };
        let found = leases.records(filter, None, 10).await.expect("the record");
        assert_eq!(found.iter().map(|row| row.lease.id).collect::<Vec<_>>(), expected, "{filter:?}");
        assert!(found.iter().all(|row| state.is_none_or(|state| row.state() == state)), "{found:?}");
    }
    let after_first = RecordFilter { state: None, owner: Some(one) };
    let page = leases.records(after_first, Some(expired.id), 1).await.expect("the record");
    assert_eq!(page.first().map(|row| row.lease.id), Some(open.id));
}

/// Every block ever handed out is used, lost, in use, returned or expired, and the account says the same as the record.
///
/// Seen to fail when a return does not count what was used, and when a second return counts again.
pub async fn the_account_follows_every_block(harness: &mut impl Harness) {
    let empty = harness.leases().account().await.expect("an account");
    assert_eq!((empty, empty.is_balanced()), (Account::default(), true));
    for seed in 0..6 {
        random_operations(harness, seed, 60).await;
        let leases = harness.leases();
        let account = leases.account().await.expect("an account");
        assert!(account.is_balanced(), "{account:?}");
        let mut expected = Account { free: account.free, ..recorded(&record(&*leases).await) };
        expected.first_leased_last_day = account.first_leased_last_day;
        assert_eq!(account, expected);
        assert!(account.first_leased_last_day <= account.ever_leased);
        harness.reopen().await;
    }
    let account = harness.leases().account().await.expect("an account");
    assert!([account.used, account.lost, account.returned, account.expired, account.free].iter().all(|sum| *sum > 0));
}

/// The account as the record alone tells it; what is free and what was leased when, it does not tell.
fn recorded(record: &[LeaseRecord]) -> Account {
    let blocks: BTreeSet<_> = record.iter().flat_map(|row| row.lease.blocks()).collect();
    let mut account = Account { ever_leased: blocks.len() as u64, ..Account::default() };
    for row in record {
        account.handed_out += u64::from(row.lease.blocks);
        account.used += u64::from(row.usage.used);
        account.lost += u64::from(row.usage.refused);
        let rest = match row.state() {
            LeaseState::Open => &mut account.in_use,
            LeaseState::Returned => &mut account.returned,
            LeaseState::Expired => &mut account.expired,
        };
        *rest += u64::from(row.rest());
        account.open_leases += u64::from(row.ended.is_none());
    }
    account
}

/// Seen to fail when all days count, and when blocks that are leased again do.
pub async fn the_rate_is_of_the_last_day(harness: &mut impl Harness) {
    let owner = Owner::random();
    lease(&*harness.leases(), owner, 3).await;
    harness.advance(Duration::from_secs(24 * 60 * 60)).await;
    let leases = harness.leases();
    lease(&*leases, owner, 3).await;
    lease(&*leases, owner, 2).await;
    let account = leases.account().await.expect("an account");
    assert_eq!((account.first_leased_last_day, account.ever_leased, account.handed_out), (2, 5, 8));
}

/// Drops calls half-way; the same call then succeeds, and no block is lost or shared.
///
/// Seen to fail when the high-water mark is raised outside the transaction that writes the lease.
pub async fn a_dropped_call_is_whole_or_nothing(harness: &mut impl Harness) {
    let leases = harness.leases();
    let owner = Owner::random();
    for steps in 0..DROPPED_STEPS_MAX {
        let request = request(owner, 2);
        drop_after(steps, leases.lease(&request)).await;
        let leased = leases.lease(&request).await.expect("the repeated request");
        drop_after(steps, leases.renew(leased.id, owner, usage(1, 0))).await;
        leases.renew(leased.id, owner, usage(1, 0)).await.expect("renewed");
        drop_after(steps, leases.give_back(leased.id, owner, usage(1, 0))).await;
        leases.give_back(leased.id, owner, usage(1, 0)).await.expect("given back");
    }
    let record = record(&*leases).await;
    assert_accounted(&record);
    assert_eq!(record.iter().map(|row| row.usage.used).sum::<u32>(), DROPPED_STEPS_MAX);
    let leased: BTreeSet<_> = record.iter().flat_map(|row| row.lease.blocks()).map(|block| block.0).collect();
    let (first, last) = (leased.first().expect("some"), leased.last().expect("some"));
    assert_eq!(leased.len() as u32, last - first + 1, "a block was leased to nobody: {leased:?}");
}

/// Lets a call get so many steps far (a step is from one wake-up to the next), and drops it.
async fn drop_after<T>(steps: u32, call: impl Future<Output = T>) {
    let mut call = std::pin::pin!(call);
    let mut steps_left = steps;
    poll_fn(|context| {
        if steps_left == 0 {
            return Poll::Ready(());
        }
        steps_left -= 1;
        call.as_mut().poll(context).map(drop)
    })
    .await;
}

/// Seen to fail when a free run is shortened by one block fewer than were leased of it.
pub async fn random_operations_keep_the_accounts(harness: &mut impl Harness) {
    for seed in 0..4 {
        random_operations(harness, seed, 120).await;
        assert_accounted(&record(&*harness.leases()).await);
    }
}

/// Leases, renews, gives back and lets expire at random.
pub async fn random_operations(harness: &mut impl Harness, seed: u64, steps: u32) {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut held: Vec<(Lease, Owner)> = Vec::new();
    for _ in 0..steps {
        let leases = harness.leases();
        let turn = rng.random_range(0..10);
        if turn < 5 || held.is_empty() {
            let owner = Owner::random();
            held.push((lease(&*leases, owner, rng.random_range(1..=9)).await, owner));
            continue;
        }
        let (lease, owner) = held[rng.random_range(0..held.len())].clone();
        let used = rng.random_range(0..=lease.blocks);
        let report = usage(used, rng.random_range(0..=lease.blocks - used));
        // Ended leases and mixtures of reports that exceed the lease are refused; the accounts must hold all the same.
        match turn {
            5 | 6 => drop(leases.renew(lease.id, owner, report).await),
            7 | 8 => drop(leases.give_back(lease.id, owner, report).await),
            _ => harness.advance(lease.ttl() / 2).await,
        }
    }
}

/// Replays the record: every block is in at most one open lease, and in at most one whose usage covers it.
pub fn assert_accounted(record: &[LeaseRecord]) {
    let mut taken: HashMap<Block, LeaseId> = HashMap::new();
    for row in record {
        let kept = if row.ended.is_some() { row.usage.done() } else { row.lease.blocks };
        for block in row.lease.blocks().take(kept as usize) {
            let other = taken.insert(block, row.lease.id);
            assert!(other.is_none(), "{block:?} is in lease {} and in lease {other:?}", row.lease.id.0);
        }
    }
}
