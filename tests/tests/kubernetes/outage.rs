//! Who hands out ids is away.

use std::time::Duration;

use septet_tests::{engines::Engine, wait};
use tokio::{task::block_in_place, time::sleep};

use crate::{
    SETTLED_WITHIN, counted,
    load::{Load, STEADY},
    pods::Pod,
    say, timed,
    world::world,
};

/// How long everything goes on in each state.
const PART: Duration = Duration::from_secs(5);

/// What a token service says that has no database.
const NO_DATABASE: &str = "waiting for the database";

/// What a shortener says that starts without a token service.
const NO_LEASES: &str = "the lease store does not say which id space it is";

/// MySQL is killed, then the token services go: pods stay ready and links are made from leases. A token service that starts meanwhile is not ready,
/// and says why; a shortener serves the links there are, and says what it lacks. Afterwards all is as before.
///
/// Seen to fail when the shorteners were replaced meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn pods_stay_ready_and_links_are_made_while_the_token_service_and_mysql_are_away() {
    let mut world = world().await;
    let load = Load::start(world.release.address(), STEADY).await;
    sleep(PART).await;
    block_in_place(|| world.engines.mariadb.kill());
    sleep(PART).await;
    let release = &world.release;
    let all_ready = |component: &str| release.pods(component).iter().all(|pod| pod.is_ready);
    assert!(all_ready("token-service") && all_ready("shortener"), "readiness does not ask the database");
    load.assert_no_failure();

    release.scale("token-service", 0);
    release.settled("token-service", 0).await;
    sleep(PART).await;
    assert!(all_ready("shortener"), "readiness does not ask the token service");
    load.assert_no_failure();

    release.scale("token-service", 1);
    let says = |pod: &Pod| pod.log().contains(NO_DATABASE);
    let waiting = release.pod_that("token-service", "a token service that waits for its database", says).await;
    assert!(!waiting.is_ready);
    let described = wait::until("what is told of it", SETTLED_WITHIN, async || {
        let described = waiting.describe();
        described.lines().rfind(|line| line.contains("Readiness probe failed")).map(str::to_owned)
    });
    say(described.await.trim());
    load.assert_no_failure();

    // Whoever asks the new shortener for a link is refused, as it has no ids.
    let before = load.stop().await;
    before.assert_no_failure();
    release.scale("shortener", 3);
    let pods = release.settled("shortener", 3).await;
    let new = pods.iter().filter(|pod| pod.log().contains(NO_LEASES)).count();
    assert_eq!(new, 1, "the new one says what it lacks");

    block_in_place(|| world.engines.mariadb.start_again());
    let release = &world.release;
    timed("MySQL is back, until the token service is ready", release.settled("token-service", 1)).await;
    // Every shortener makes links again.
    sleep(PART).await;
    let after = Load::start(release.address(), STEADY).await;
    release.scale("shortener", 2);
    release.settled("shortener", 2).await;
    let after = after.stop().await;
    after.assert_no_failure();
    counted::check(&release.client(), &before).await;
    counted::check(&release.client(), &after).await;
}
