//! A link is changed at one instance while it is deleted at another one.

use std::time::Duration;

use septet_tests::{client::Client, septet::DOMAIN};
use serde_json::json;

use super::world::{CACHE_TTL_MS, World};

const LINKS: usize = 60;

/// What somebody who looks for a link by each of its names finds.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    by_id: Option<String>,
    by_old_key: Option<String>,
    by_new_key: Option<String>,
    by_external_id: Option<String>,
    listed: bool,
    opens: [u16; 2],
}

async fn look(client: &Client, id: &str, n: usize, listed: &[String]) -> Seen {
    let find = async |query: &[(&str, &str)]| {
        let found = client.get("/links/info", query).await;
        if found.status == 404 { None } else { Some(found.link().id) }
    };
    let keys = [format!("old-{n}"), format!("new-{n}")];
    Seen {
        by_id: find(&[("linkId", id)]).await,
        by_old_key: find(&[("domain", DOMAIN), ("key", &keys[0])]).await,
        by_new_key: find(&[("domain", DOMAIN), ("key", &keys[1])]).await,
        by_external_id: find(&[("externalId", &format!("e-{n}"))]).await,
        listed: listed.iter().any(|listed| listed == id),
        opens: [client.open(&keys[0]).await.status, client.open(&keys[1]).await.status],
    }
}

/// Every link in the list, page by page.
async fn list(client: &Client) -> Vec<String> {
    let mut ids: Vec<String> = Vec::new();
    loop {
        let mut query = vec![("pageSize", "100")];
        let last = ids.last().cloned();
        query.extend(last.as_deref().map(|last| ("startingAfter", last)));
        let page = client.get("/links", &query).await.links();
        if page.is_empty() {
            return ids;
        }
        ids.extend(page.into_iter().map(|link| link.id));
    }
}

/// Seen to fail when a change was made whatever the revision: a deleted link came back without its time of creation.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Cassandra and MariaDB: run by tests/run"]
async fn a_link_that_is_changed_and_deleted_at_once_is_there_or_gone_everywhere() {
    let mut world = World::start(2).await;
    let clients = world.clients();
    let mut links = Vec::new();
    for n in 0..LINKS {
        let body =
            json!({ "url": "https://example.com/old", "key": format!("old-{n}"), "externalId": format!("e-{n}") });
        links.push(clients[0].create(&body).await.link());
    }
    let (mut changed_first, mut deleted) = (0, 0);
    for (n, link) in links.iter().enumerate() {
        let change = json!({ "url": "https://example.com/new", "key": format!("new-{n}") });
        // Now the one is a little ahead, now the other.
        let ahead = Duration::from_millis((n % 10) as u64 * 3);
        let (first, second) = if n % 2 == 0 { (ahead, Duration::ZERO) } else { (Duration::ZERO, ahead) };
        let (patched, removed) = tokio::join!(
            async {
                tokio::time::sleep(first).await;
                clients[0].change(&link.id, &change).await
            },
            async {
                tokio::time::sleep(second).await;
                clients[1].delete(&link.id).await
            },
        );
        assert!(matches!(patched.status, 200 | 404 | 409 | 503), "{} {}", patched.status, patched.text);
        assert!(matches!(removed.status, 200 | 404 | 409 | 503), "{} {}", removed.status, removed.text);
        changed_first += usize::from(patched.status == 200);
        deleted += usize::from(removed.status == 200);
    }
    println!("{deleted} of {LINKS} deleted, {changed_first} of them changed before");
    // What an instance has cached of another's changes it believes for so long.
    tokio::time::sleep(Duration::from_millis(2 * CACHE_TTL_MS.parse::<u64>().expect("a number"))).await;
    let listed = list(&clients[0]).await;
    for (n, link) in links.iter().enumerate() {
        let seen = look(&clients[0], &link.id, n, &listed).await;
        assert_eq!(look(&clients[1], &link.id, n, &listed).await, seen, "both instances see the same of {n}");
        let id = || Some(link.id.clone());
        let there = |old: bool| Seen {
            by_id: id(),
            by_old_key: if old { id() } else { None },
            by_new_key: if old { None } else { id() },
            by_external_id: id(),
            listed: true,
            opens: if old { [302, 404] } else { [404, 302] },
        };
        let gone = Seen {
            by_id: None,
            by_old_key: None,
            by_new_key: None,
            by_external_id: None,
            listed: false,
            opens: [404, 404],
        };
        assert!(seen == gone || seen == there(true) || seen == there(false), "{n}: {seen:?}");
    }
    assert_eq!(clients[1].count().await, listed.len() as u64);
    assert!(deleted > 0 && changed_first > 0, "neither always comes first");
    world.stop();
}
