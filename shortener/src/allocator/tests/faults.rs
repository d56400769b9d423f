//! Stores that do not answer, and what the allocator makes of it.

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
        rendered.contains("# HELP septet_code_waits_total") && !rendered.contains("septet_no_codes_total "),
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
    let Err(CloseError::NotHandedBack { blocks, leases }) = allocator.close().await else { panic!("nothing answered") };
    assert!((1..=2).contains(&blocks) && leases > 0, "{blocks} blocks, {leases} leases");
    let rendered = metrics.render();
    for (what, count) in [("block", blocks), ("lease", leases)] {
        let line = format!("septet_hand_backs_failed_total{{what=\"{what}\"}} {count}");
        assert!(rendered.contains(&line), "{line} in {rendered}");
    }
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
