//! Instances, token services and MySQL together: the main job in this mode, and what goes on while a part of it is away.

mod faults;
mod id_space;
mod outage;
mod setting;

use std::collections::HashSet;

use reqwest::Method;
use septet_tests::{client::send, engines::mariadb, septet::DOMAIN};
use serde_json::json;
use setting::{CALL_FAILED, Cluster, assert_balanced, client};

/// Seen to fail when `--links` was left aside.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs MariaDB: run by tests/run"]
async fn links_made_at_one_instance_are_served_by_all() {
    let database = mariadb::database();
    let mut cluster = Cluster::start(&database.url(), |launch| launch);
    let setups = ["one", "two", "three"].map(|name| cluster.setup(name).allow_log(CALL_FAILED).launch());
    let mut instances = setups.map(septet_tests::restartable::Restartable::started);

    let mut made = Vec::new();
    for round in 0..2 {
        for instance in &instances {
            for n in 0..5 {
                let url = format!("https://example.com/{}/{round}/{n}", instance.address().port());
                let link = client(instance).link_to(&url).await;
                assert_eq!((link.url.as_str(), link.domain.as_str(), link.key.len()), (url.as_str(), DOMAIN, 7));
                made.push(link);
            }
        }
        cluster.kill_services();
        cluster.start_services();
    }
    let alias = json!({ "url": "https://example.com/alias", "key": "Spring-Sale" });
    made.push(client(&instances[0]).create(&alias).await.link());
    client(&instances[1]).create(&alias).await.error(409, "conflict");

    let (keys, ids): (HashSet<_>, HashSet<_>) = made.iter().map(|link| (&link.key, &link.id)).unzip();
    assert_eq!((keys.len(), ids.len()), (made.len(), made.len()), "no two are the same");
    for client in instances.each_ref().map(client) {
        for link in &made {
            let opened = client.open(&link.key).await;
            assert_eq!((opened.status, opened.header("location")), (302, Some(link.url.as_str())), "{}", link.key);
            assert_eq!(client.by_id(&link.id).await.link().url, link.url);
        }
        let listed = client.get("/links", &[("pageSize", "100")]).await.links();
        assert_eq!(listed.iter().map(|link| &link.key).collect::<HashSet<_>>(), keys);
        assert_eq!(client.count().await, made.len() as u64);
    }

    // What one of them changes, the next one that is started knows.
    assert_eq!(client(&instances[0]).delete(&made[0].id).await.status, 200);
    instances[1].kill();
    instances[1].start();
    assert_eq!(client(&instances[1]).open(&made[0].key).await.status, 404);
    let metrics = send(client(&instances[2]).plain(Method::GET, "/api/links")).await;
    metrics.error(401, "unauthorized");

    instances.iter_mut().for_each(|instance| instance.stop());
    let account = cluster.account().await;
    assert_balanced(&account);
    assert_eq!(account.lost, 0, "{account:?}");
}
