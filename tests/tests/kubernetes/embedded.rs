//! Everything in one pod, on one volume.

use septet_tests::wait;
use serde_json::{Value, json};

use crate::{
    SETTLED_WITHIN,
    cluster::{LABEL, apply, objects, on_node, run_name},
    release::Release,
    say, timed,
};

/// Clicks before and after the pod is replaced.
const CLICKS: u64 = 5;

/// A link and its clicks outlive the pod.
///
/// Seen to fail when the claim was an emptyDir.
#[tokio::test(flavor = "multi_thread")]
async fn a_link_and_its_clicks_outlive_the_pod() {
    let volume = Volume::make();
    let values = json!({
        "mode": "embedded",
        "shortener": {"data": {"size": "256Mi", "storageClassName": volume.class()}},
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

/// Where the claim finds room: in the cluster's default class or, where there is none, on a volume that is made for it.
struct Volume {
    made: Option<String>,
}

impl Volume {
    fn make() -> Self {
        let classes = objects(&["storageclasses"]);
        let is_default =
            |class: &Value| class["metadata"]["annotations"]["storageclass.kubernetes.io/is-default-class"] == "true";
        if classes["items"].as_array().expect("a list").iter().any(is_default) {
            return Self { made: None };
        }
        let name = format!("{}-embedded", run_name());
        let path = format!("/tmp/{name}");
        // Kubernetes gives such a folder to nobody.
        on_node(r#"mkdir "$1" && chmod 777 "$1""#, &[&path]).expect("a folder on the node");
        apply(&json!({
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": name, "labels": {LABEL: run_name()}},
            "spec": {
                "storageClassName": name,
                "capacity": {"storage": "1Gi"},
                "accessModes": ["ReadWriteOnce"],
                "hostPath": {"path": path},
            },
        }));
        Self { made: Some(name) }
    }

    /// `null` is the default.
    fn class(&self) -> Option<&str> {
        self.made.as_deref()
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        if let Some(name) = &self.made {
            // The volume itself goes with the run.
            on_node(r#"rm -rf "/tmp/$1""#, &[name]).ok();
        }
    }
}
