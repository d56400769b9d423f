//! Stores that do not answer, and what the allocator makes of it.

use std::sync::atomic::AtomicUsize;

use token_service::LeaseId;

use super::*;

/// Seen to fail when a failed request for a lease is not repeated.
#[tokio::test]
async fn without_the_lease_store_leased_blocks_go_on_and_then_it_recovers() {
    let world = World::new(40).await;
    let allocator = world.start();
    let leased = || allocator.shared.book.lock().unclaimed_blocks();
    let mut taken: HashSet<_> = take(&allocator, 200).await.into_iter().collect();
    while leased() == 0 {
        taken.extend(take(&allocator, 1).await);
    }
    world.leases.down.store(true, Ordering::Relaxed);
    let mut went_on = 0;
    loop {
        match allocator.take_or_wait(Duration::from_millis(20)).await {
            Ok(ready) => assert!(taken.insert(ready.id)),
            Err(error) => {
                assert_eq!(error, NoCodes::Exhausted);
                if leased() == 0 && world.held_untaken(allocator.owner(), &taken).await == 0 {
                    break;
                }
            }
        }
        went_on += 1;
    }
    assert!(went_on > 30, "{went_on} codes while a whole block was leased");
    world.leases.down.store(false, Ordering::Relaxed);
    assert!(take(&allocator, 100).await.into_iter().all(|id| taken.insert(id)));
}

#[tokio::test]
async fn without_a_first_lease_there_is_an_error_after_the_wait() {
    let world = World::new(40).await;
    world.leases.down.store(true, Ordering::Relaxed);
    let allocator = world.start();
    assert_eq!(allocator.take_or_wait(Duration::from_millis(20)).await, Err(NoCodes::Exhausted));
    world.leases.down.store(false, Ordering::Relaxed);
    take(&allocator, 1).await;
}

/// Seen to fail when the block of a failed claim is claimed again and again, and when it is used.
#[tokio::test]
async fn blocks_whose_claim_fails_are_skipped() {
    let world = World::new(40).await;
    world.claims.down.store(true, Ordering::Relaxed);
    let allocator = world.start();
    world.claims.failed.notified().await;
    world.claims.down.store(false, Ordering::Relaxed);
    let ids = take(&allocator, 100).await;
    assert!(Block::of(ids[0]) > Block(0));
    let granted: HashSet<_> = world.claims.held_by(allocator.owner()).await.into_iter().collect();
    assert!(ids.iter().all(|id| granted.contains(&Block::of(*id))));
}

/// Seen to fail when the block is skipped, as it is after a claim without an answer.
#[tokio::test]
async fn an_overloaded_link_store_costs_no_block() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let metrics = recorder.handle();
    let _guard = ::metrics::set_default_local_recorder(&recorder);

    let world = World::new(40).await;
    world.claims.overloaded.store(5, Ordering::Relaxed);
    let allocator = world.start();
    let mut taken: HashSet<_> = take(&allocator, 100).await.into_iter().collect();
    world.claims.overloaded.store(3, Ordering::Relaxed);
    taken.extend(take(&allocator, 100).await);
    let last = *taken.iter().max().unwrap();
    for block in (0..=Block::of(last).0).map(Block) {
        assert!(world.codes_in(block).all(|id| id > last || taken.contains(&id)), "{block:?}");
    }
    let rendered = metrics.render();
    assert!(rendered.contains("septet_claims_put_off_total 8"), "{rendered}");
    assert!(
        rendered.contains("# HELP septet_code_waits_total") && rendered.contains("septet_no_codes_total 0"),
        "{rendered}"
    );
}

/// Seen to fail when what is given up is not counted.
#[tokio::test]
async fn what_cannot_be_handed_back_is_said() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let metrics = recorder.handle();
    let _guard = ::metrics::set_default_local_recorder(&recorder);

    let world = World::new(40).await;
    let allocator = world.start();
    take(&allocator, 1).await;
    world.claims.down.store(true, Ordering::Relaxed);
    world.leases.down.store(true, Ordering::Relaxed);
    let Err(CloseError::NotHandedBack { blocks }) = allocator.close().await else { panic!("nothing answered") };
    assert!((1..=2).contains(&blocks), "{blocks} blocks");
    let rendered = metrics.render();
    for counted in [format!("{{what=\"block\"}} {blocks}\n"), "{what=\"lease\"} ".to_owned()] {
        let line = format!("septet_hand_backs_failed_total{counted}");
        assert!(rendered.contains(&line), "{line} in {rendered}");
    }
}

/// Seen to fail when a lease that stays is an error, and when giving it back is tried without an end.
#[tokio::test(start_paused = true)]
async fn a_lease_that_cannot_be_given_back_is_left_to_expire() {
    let leases = Arc::<CountedLeases>::default();
    let allocator = start_counted(&leases);
    take(&allocator, 1).await;
    leases.down.store(true, Ordering::Relaxed);
    let begun = Instant::now();
    allocator.close().await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(6), "{:?}", begun.elapsed());
}

/// Seen to fail when the usage is left out.
#[tokio::test(start_paused = true)]
async fn a_lease_is_given_back_with_its_usage() {
    let leases = Arc::<CountedLeases>::default();
    let allocator = start_counted(&leases);
    take(&allocator, 39 * 3).await;
    allocator.close().await.unwrap();
    let given_back = leases.given_back.lock();
    let first = given_back.iter().find(|(lease, _)| lease.0 == 1).expect("it is given back");
    assert!((1..=COUNTED_BLOCKS).contains(&first.1.used), "{given_back:?}");
}

/// Seen to fail when it is asked for again and again.
#[tokio::test(start_paused = true)]
async fn a_lease_that_has_ended_is_given_back_once() {
    let leases = Arc::<CountedLeases>::default();
    let allocator = start_counted(&leases);
    take(&allocator, 1).await;
    *leases.ended_to.lock() = u64::MAX;
    allocator.close().await.unwrap();
    let given_back = leases.given_back.lock();
    assert_eq!(given_back.iter().filter(|(lease, _)| lease.0 == 1).count(), 1, "{given_back:?}");
}

/// Seen to fail when a block is handed back in one attempt, or not at all.
#[tokio::test]
async fn handing_back_is_tried_again() {
    let world = World::new(40).await;
    let allocator = world.start();
    take(&allocator, 1).await;
    world.claims.overloaded.store(1, Ordering::Relaxed);
    let owner = allocator.owner();
    allocator.close().await.unwrap();
    assert_eq!(world.claims.held_by(owner).await, []);
}

/// Seen to fail when the call has no limit.
#[tokio::test(start_paused = true)]
async fn closing_does_not_wait_for_a_silent_link_store() {
    let leases = Arc::<CountedLeases>::default();
    let codec = Arc::new(Codec::new(&IdSpace::new([1; 32])));
    let allocator = Allocator::start(leases, Arc::new(NeverHandedBack), codec, options());
    take(&allocator, 1).await;
    let started = Instant::now();
    let closed = allocator.close().await;
    assert!(matches!(closed, Err(CloseError::NotHandedBack { .. })), "{closed:?}");
    assert!(started.elapsed() < Duration::from_secs(120), "{:?}", started.elapsed());
}

/// Seen to fail when closing does not ask how the task ended.
#[tokio::test]
async fn the_end_of_the_background_task_is_seen() {
    let world = World::new(40).await;
    world.claims.panics.store(true, Ordering::Relaxed);
    let allocator = world.start();
    allocator.ended().await;
    assert_eq!(allocator.close().await, Err(CloseError::TaskEnded));
}

/// The lease store is away for longer than leases live: what is leased is claimed all the same, since claims decide.
///
/// Seen to fail when a lease that was not renewed in time was dropped.
#[tokio::test(start_paused = true)]
async fn leased_blocks_outlive_their_lease() {
    let leases = Arc::<CountedLeases>::default();
    let allocator = start_counted(&leases);
    take(&allocator, 1).await;
    leases.down.store(true, Ordering::Relaxed);
    tokio::time::sleep(COUNTED_TTL * 3).await;
    let mut blocks: BTreeSet<_> = BTreeSet::new();
    while let Ok(ready) = allocator.take_or_wait(Duration::from_secs(1)).await {
        blocks.insert(Block::of(ready.id).0);
    }
    assert_eq!(blocks, (COUNTED_BLOCKS..COUNTED_BLOCKS * 2).collect());
    leases.down.store(false, Ordering::Relaxed);
    assert!(Block::of(take(&allocator, 1).await[0]).0 >= COUNTED_BLOCKS * 2);
}

/// Seen to fail when usage was reported with the next renewal only, which is twenty minutes later.
#[tokio::test(start_paused = true)]
async fn usage_is_reported_when_another_lease_depends_on_it() {
    let leases = Arc::<CountedLeases>::default();
    leases.wants_usage.store(true, Ordering::Relaxed);
    let allocator = start_counted(&leases);
    let started = Instant::now();
    let ids = take(&allocator, 39 * COUNTED_BLOCKS as usize * 3).await;
    assert!(Block::of(*ids.last().unwrap()).0 >= COUNTED_BLOCKS * 3);
    assert!(started.elapsed() < Duration::from_secs(60), "{:?}", started.elapsed());
}

/// Never answers.
struct Silent;

#[async_trait::async_trait]
impl Leases for Silent {
    async fn id_space(&self) -> Result<IdSpace, token_service::LeaseError> {
        std::future::pending().await
    }
    async fn lease(&self, _: &token_service::LeaseRequest) -> Result<token_service::Lease, token_service::LeaseError> {
        std::future::pending().await
    }
    async fn renew(&self, _: LeaseId, _: Owner, _: Usage) -> Result<(), token_service::LeaseError> {
        std::future::pending().await
    }
    async fn give_back(&self, _: LeaseId, _: Owner, _: Usage) -> Result<(), token_service::LeaseError> {
        std::future::pending().await
    }
}

/// Seen to fail when closing waited for the call's own limit, which is all the time that a stop gives it.
#[tokio::test(start_paused = true)]
async fn closing_does_not_wait_for_a_silent_lease_store() {
    let codec = Arc::new(Codec::new(&IdSpace::new([1; 32])));
    let allocator = Allocator::start(Arc::new(Silent), Arc::new(AlwaysGranted), codec, options());
    assert_eq!(allocator.take_or_wait(Duration::from_secs(1)).await, Err(NoCodes::Exhausted));
    let started = Instant::now();
    allocator.close().await.unwrap();
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
}

/// An outage of hours is logged a few times a minute at most, and all of it is counted.
///
/// Seen to fail when every failure was logged.
#[tokio::test(start_paused = true)]
async fn a_long_outage_does_not_flood_the_log() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let metrics = recorder.handle();
    let _guard = ::metrics::set_default_local_recorder(&recorder);
    let lines = Arc::<AtomicUsize>::default();
    let counted = Arc::clone(&lines);
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::INFO)
        .with_writer(move || CountingWriter(Arc::clone(&counted)))
        .finish();
    let _logged = tracing::subscriber::set_default(subscriber);

    let leases = Arc::<CountedLeases>::default();
    leases.down.store(true, Ordering::Relaxed);
    let codec = Arc::new(Codec::new(&IdSpace::new([1; 32])));
    let usual = Options::default();
    let allocator = Allocator::start(Arc::<CountedLeases>::clone(&leases), Arc::new(AlwaysGranted), codec, usual);
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert!((55..=65).contains(&lines.load(Ordering::Relaxed)), "{lines:?}");
    let rendered = metrics.render();
    let failed = rendered.lines().find_map(|line| line.strip_prefix("septet_lease_errors_total{operation=\"lease\"} "));
    assert!(failed.is_some_and(|failed| failed.parse::<u32>().unwrap() > 360), "{rendered}");
    leases.down.store(false, Ordering::Relaxed);
    take(&allocator, 1).await;
}

/// Counts the lines.
struct CountingWriter(Arc<AtomicUsize>);

impl std::io::Write for CountingWriter {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.fetch_add(bytes.iter().filter(|byte| **byte == b'\n').count(), Ordering::Relaxed);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
