//! What operators do on purpose: an update, and pods deleted one by one.

use std::time::Duration;

use serde_json::json;
use tokio::time::sleep;

use crate::{
    counted,
    load::{Load, STEADY},
    say, timed,
    world::world,
};

/// Between one change and the next, so that pods answer for themselves.
const BETWEEN: Duration = Duration::from_secs(3);

/// Two shorteners, as installed.
const SHORTENERS: usize = 2;

/// Every pod is replaced by an update, then one of each component is deleted in order: no request fails, no link is lost, every click is counted
/// once, and who stopped has returned its leases.
///
/// It goes before the tests that kill, whose leases are left to expire.
///
/// Seen to fail without a drain wait (SEPTET_DRAIN_WAIT_MS=0): connections were refused.
#[tokio::test(flavor = "multi_thread")]
async fn an_update_and_deleted_pods_cost_no_request_no_link_no_click_and_no_lease() {
    let world = world().await;
    let release = &world.release;
    let load = Load::start(release.address(), STEADY).await;
    sleep(BETWEEN).await;
    let annotated = json!({"podAnnotations": {"septet-tests/update": "1"}});
    let update = json!({"shortener": annotated, "tokenService": annotated, "analytics": annotated});
    timed("helm upgrade, three migrations included", async {
        release.upgrade(&update);
        release.settled("shortener", SHORTENERS).await;
    })
    .await;
    sleep(BETWEEN).await;
    for component in ["shortener", "token-service", "analytics"] {
        let pod = &release.pods(component)[0];
        timed(&format!("kubectl delete pod {}", pod.name), async { pod.delete() }).await;
        sleep(BETWEEN).await;
    }
    release.settled("shortener", SHORTENERS).await;
    say(&format!("load for {:.0} s", load.elapsed().as_secs_f64()));
    let ledger = load.stop().await;
    ledger.assert_no_failure();
    counted::check(&release.client(), &ledger).await;

    release.scale("shortener", 0);
    release.settled("shortener", 0).await;
    let account = world.engines.account().await;
    assert!(account.is_balanced(), "{account:?}");
    assert_eq!((account.open_leases, account.in_use, account.lost, account.expired), (0, 0, 0, 0), "{account:?}");
    release.scale("shortener", SHORTENERS);
    release.settled("shortener", SHORTENERS).await;
}
