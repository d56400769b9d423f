//! Commands that ask a Septet which runs, and tell by their exit status and a sentence.

use std::{net::SocketAddr, time::Duration};

use septet_tests::{
    process::Ended,
    septet::{API_KEY, Setup, fresh, run},
    wait,
};
use tokio::task::spawn_blocking;

async fn health(ops: SocketAddr) -> Ended {
    spawn_blocking(move || run(&["health", "--ops-listen", &ops.to_string()])).await.unwrap()
}

async fn probe(listen: SocketAddr, api_key: &'static str) -> Ended {
    let url = format!("http://{listen}");
    spawn_blocking(move || run(&["probe", "--url", &url, "--api-key", api_key])).await.unwrap()
}

/// Seen to fail when any answer was taken for a good one.
#[tokio::test(flavor = "multi_thread")]
async fn health_is_that_of_what_listens() {
    let dir = tempfile::tempdir().unwrap();
    let septet = Setup::new(dir.path()).flag("--drain-wait-ms", "2000").start();
    let ops = septet.ops;
    let ended = health(ops).await;
    assert!(ended.status.success() && ended.stdout[0].contains("ready"), "{ended:?}");
    septet.terminate();
    wait::until("unready", Duration::from_secs(5), async || {
        let ended = health(ops).await;
        assert!(!ended.stderr_text().contains("nobody"), "it is unready before it is gone");
        (ended.status.code() == Some(1) && ended.stderr_text().contains("is not ready")).then_some(())
    })
    .await;
    assert!(septet.wait().status.success());
    let ended = health(ops).await;
    assert_eq!(ended.status.code(), Some(1));
    assert!(ended.stderr_text().contains("nobody answers"), "{ended:?}");
}

/// Seen to fail when the link stayed.
#[tokio::test(flavor = "multi_thread")]
async fn a_probe_makes_opens_and_deletes_a_link() {
    let (_dir, septet, client) = fresh();
    let ended = probe(septet.listen, API_KEY).await;
    assert!(ended.status.success(), "{ended:?}");
    assert_eq!(ended.stdout.len(), 3, "each step is told: {ended:?}");
    assert_eq!(client.get("/links/count", &[]).await.ok(), 0);

    let ended = probe(septet.listen, "not-the-key-but-as-long-as-one").await;
    assert_eq!(ended.status.code(), Some(1));
    assert!(ended.stderr_text().contains("401") && ended.stderr_text().contains("no link can be made"), "{ended:?}");
    septet.stop();
}
