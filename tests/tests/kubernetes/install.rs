//! From nothing to the first redirect.

use crate::{say, world::world};

/// The chart is installed, is ready when it says so, says how to go on, and passes its own test.
///
/// Seen to fail when the test pod had another API key.
#[tokio::test(flavor = "multi_thread")]
async fn the_chart_is_installed_and_passes_its_own_test() {
    let world = world().await;
    say(&format!(
        "helm install: {:.1} s, three migrations included; the first redirect after {:.1} s",
        world.installed_within.as_secs_f64(),
        world.redirected_within.as_secs_f64()
    ));
    let notes = &world.release.notes;
    let service = format!("kubectl -n {} port-forward service/septet-shortener", world.release.namespace());
    assert!(notes.contains(&service), "{notes}");
    let said = world.release.test();
    for step in ["made ", "opened it", "deleted it"] {
        assert!(said.contains(step), "{step:?} is missing: {said}");
    }
}
