//! Shorteners whose click logs are on volumes of their own.

use std::time::Duration;

use septet_tests::engines::Engine;
use serde_json::json;
use tokio::time::sleep;

use crate::{
    counted,
    load::{Load, STEADY},
    timed,
    volumes::Volumes,
    world::world,
};

const SHORTENERS: usize = 2;

/// How long clicks gather in the click logs before the deletion.
const GATHERED: Duration = Duration::from_secs(3);

/// Kafka hangs for longer than a pod may take to stop, and the pod is deleted meanwhile: its successor finds its click log, and every click is counted.
///
/// Seen to fail with a Deployment in the place of the StatefulSet.
#[tokio::test(flavor = "multi_thread")]
async fn clicks_on_a_volume_outlive_their_pod_whatever_kafka_does() {
    let world = world().await;
    let volumes = Volumes::make("stateful", SHORTENERS);
    let release = world.another(
        "stateful",
        &json!({
            "tokenService": {"replicas": 1},
            "shortener": {
                "workload": "StatefulSet",
                "replicas": SHORTENERS,
                "data": {"size": "256Mi", "storageClassName": volumes.class()},
            },
        }),
    );
    release.settled("shortener", SHORTENERS).await;
    let load = Load::start(release.address(), STEADY).await;
    sleep(GATHERED).await;
    world.engines.kafka.freeze();
    sleep(GATHERED).await;
    let pod = &release.pods("shortener")[0];
    timed("kubectl delete pod, while Kafka hangs", async { pod.delete() }).await;
    release.settled("shortener", SHORTENERS).await;
    world.engines.kafka.thaw();
    let ledger = load.stop().await;
    ledger.assert_no_failure();
    counted::check(&release.client(), &ledger).await;
}
