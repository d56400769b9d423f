//! More pods for more load.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Result, ensure};
use septet_tests::{
    bench::load::{self, Pace, Traffic},
    http1,
    septet::DOMAIN,
    wait,
};
use serde_json::{Value, json};
use tokio::{task::block_in_place, time::sleep};

use crate::{
    SETTLED_WITHIN, counted,
    load::{Load, Rates},
    release::Release,
    say, timed,
    world::world,
};

/// What the autoscaler keeps to.
const MIN: usize = 2;
const MAX: usize = 4;

/// Enough for two pods to be over the target.
const HEAVY: Rates = Rates { redirects_per_s: 4_000.0, creations_per_s: 0.0 };

/// What goes on all the time.
const LIGHT: Rates = Rates { redirects_per_s: 100.0, creations_per_s: 10.0 };

/// How pods are capped whose throughput is reported, and by what.
const CAPPED_CPU: &str = "100m";
const CONNECTIONS: usize = 64;
const MEASURED: Duration = Duration::from_secs(3);

fn autoscaled() -> Value {
    let quick = json!({
        "stabilizationWindowSeconds": 0,
        "selectPolicy": "Max",
        "policies": [{"type": "Pods", "value": 2, "periodSeconds": 15}],
    });
    json!({
        "tokenService": {"replicas": 1},
        "shortener": {
            // A pod at rest takes a fifth of that: so much that little load is for two of them, and so little that heavy load is not.
            "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}},
            "autoscaling": {
                "enabled": true,
                "minReplicas": MIN,
                "maxReplicas": MAX,
                "targetCPUUtilizationPercentage": 60,
                "behavior": {"scaleUp": quick, "scaleDown": quick},
            },
        },
    })
}

/// Under load there are more pods, afterwards fewer, and nobody notices. Then, for people, what 1, 2 and 4 pods with a tenth of a CPU each answer.
///
/// Seen to fail when so little CPU was requested that pods at rest were over the target.
#[tokio::test(flavor = "multi_thread")]
async fn shorteners_are_scaled_up_under_load_and_down_afterwards_without_an_error() {
    let world = world().await;
    let release = world.another("scaling", &autoscaled());
    release.settled("shortener", MIN).await;
    let light = Load::start(release.address(), LIGHT).await;
    let heavy = Load::start(release.address(), HEAVY).await;
    timed("scaled up", async {
        wait::until("more pods", SETTLED_WITHIN, async || {
            let ready = release.pods("shortener").iter().filter(|pod| pod.is_ready).count();
            (ready > MIN).then_some(())
        })
        .await;
    })
    .await;
    sleep(MEASURED).await;
    let heavy = heavy.stop().await;
    timed("scaled down", release.settled("shortener", MIN)).await;
    let light = light.stop().await;
    for ledger in [&heavy, &light] {
        ledger.assert_no_failure();
        counted::check(&release.client(), ledger).await;
    }
    report_scale_out(&release).await;
}

/// Redirects a second of 1, 2 and 4 pods, as far as the machine has CPUs for them and for who asks.
async fn report_scale_out(release: &Release) {
    let capped = json!({"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"cpu": CAPPED_CPU}});
    let fixed = json!({"shortener": {"autoscaling": {"enabled": false}, "replicas": 1, "resources": capped}});
    release.upgrade(&fixed);
    let link = release.client().link_to("https://example.com/scale-out").await;
    for pods in [1, 2, 4] {
        release.scale("shortener", pods);
        release.settled("shortener", pods).await;
        let per_s =
            block_in_place(|| redirects_per_s(release.address(), &link.key)).expect("every redirect is answered");
        say(&format!("{pods} pods of {CAPPED_CPU} CPU: {per_s:.0} redirects/s"));
    }
}

fn redirects_per_s(address: SocketAddr, key: &str) -> Result<f64> {
    let load = load::Load { connections: CONNECTIONS, pace: Pace::Saturated, time: MEASURED };
    Ok(load::run(address, load, &mut Opened { key })?.per_second())
}

/// One link, again and again, without a click: counting has a figure of its own.
struct Opened<'a> {
    key: &'a str,
}

impl Traffic for Opened<'_> {
    fn next(&mut self, out: &mut Vec<u8>) -> bool {
        out.extend_from_slice(format!("HEAD /{} HTTP/1.1\r\nHost: {DOMAIN}\r\n\r\n", self.key).as_bytes());
        true
    }

    fn answered(&mut self, answer: &http1::Answer<'_>) -> Result<()> {
        ensure!(answer.status == 302, "{}", answer.status);
        Ok(())
    }

    fn is_head(&self) -> bool {
        true
    }
}
