//! Everything in one pod, on one volume.

use septet_tests::wait;
use serde_json::json;

use crate::{SETTLED_WITHIN, release::Release, say, timed, volumes::Volumes};

/// Clicks before and after the pod is replaced.
const CLICKS: u64 = 5;

/// A link and its clicks outlive the pod.
///
/// Seen to fail when the claim was an emptyDir.
#[tokio::test(flavor = "multi_thread")]
async fn a_link_and_its_clicks_outlive_the_pod() {
    let volumes = Volumes::make("embedded", 1);
    let values = json!({
        "mode": "embedded",
        "shortener": {"data": {"size": "256Mi", "storageClassName": volumes.class()}},
    });
    let release = timed("helm install, embedded", async { Release::install("embedded", &values) }).await;
    let client = release.client();
    let link = client.link_to("https://example.com/embedded").await;
    for _ in 0..CLICKS {
        assert_eq!(client.open(&link.key).await.status, 302);
    }
    // Right away: what is not counted yet is on the volume.
    release.pods("shortener")[0].delete();
    let begun = std::time::Instant::now();
    release.settled("shortener", 1).await;
    let client = release.client();
    for _ in 0..CLICKS {
        let opened = client.open(&link.key).await;
        assert_eq!((opened.status, opened.header("location")), (302, Some("https://example.com/embedded")));
    }
    say(&format!("deleted, and there again after {:.1} s", begun.elapsed().as_secs_f64()));
    let counted = async || client.clicks(Some(&link.id)).await;
    wait::until("all clicks counted", SETTLED_WITHIN, async || (counted().await >= 2 * CLICKS).then_some(())).await;
    assert_eq!(counted().await, 2 * CLICKS);
    assert_eq!(client.by_id(&link.id).await.link().url, "https://example.com/embedded");
    assert!(release.test().contains("deleted it"));
}
