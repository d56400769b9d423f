//! An instance of a cluster keeps clicks, for a while, and nothing else.

use std::{fs, path::Path, time::Duration};

use septet_tests::{mode::Mode, septet::Setup, wait};
use serde_json::json;

/// What there may be in the data directory of an instance of a cluster: the lock of the directory, the click log, the salts of its
/// visitors, and what clicks are counted in.
const KEPT: [&str; 6] = ["lock", "clicks", "visitor-salts", "analytics.db", "analytics.db-shm", "analytics.db-wal"];

fn names(dir: &Path) -> Vec<String> {
    fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// Seen to fail when a file of the session was kept, and when links were in a file beside the click log.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Cassandra and MariaDB: run by tests/run"]
async fn nothing_is_on_disk_but_clicks() {
    let dir = tempfile::tempdir().unwrap();
    let setup = Setup::in_mode(Mode::Cluster, dir.path());
    let septet = setup.start();
    let client = septet.client();
    let code = client.link_to("https://example.com/code").await;
    let alias = json!({ "url": "https://example.com/alias", "key": "an-alias", "externalId": "e-1" });
    let alias = client.create(&alias).await.link();
    assert_eq!(client.open(&code.key).await.status, 302);
    wait::until("the click counted", Duration::from_secs(5), async || {
        (client.clicks(Some(&code.id)).await == 1).then_some(())
    })
    .await;
    let kept = names(dir.path());
    assert!(kept.iter().all(|name| KEPT.contains(&name.as_str())), "{kept:?}");
    septet.kill();

    // What was kept is lost, and no link with it.
    for name in kept {
        let path = dir.path().join(name);
        if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }.unwrap();
    }
    let septet = setup.start();
    let client = septet.client();
    for link in [&code, &alias] {
        assert_eq!(client.open(&link.key).await.header("location"), Some(link.url.as_str()));
        assert_eq!(client.by_id(&link.id).await.link().key, link.key);
    }
    assert_eq!(client.by_id("ext_e-1").await.link().id, alias.id);
    let listed: Vec<_> = client.get("/links", &[]).await.links().into_iter().map(|link| link.id).collect();
    assert_eq!(listed, [alias.id, code.id]);
    assert_eq!(client.link_to("https://example.com/next").await.key.len(), 7);
    septet.stop();
}
