//! An embedded link store moves into a keyspace, killed on its way again and again.

use std::{
    collections::HashSet,
    path::Path,
    process::{Command, Output},
    thread,
    time::Duration,
};

use futures::{StreamExt, stream};
use septet_tests::{
    binary,
    client::{Client, Link},
    engines::cassandra,
    keyspace::Keyspace,
    mode::{ADVICE_OF_CASSANDRA, Mode},
    septet::Setup,
};
use serde_json::json;

/// Links with codes, and as many with names.
const LINKS: u32 = 200;
/// Moments at which a copy is killed, in milliseconds from its start.
const KILLED_AFTER_MS: [u64; 6] = [30, 90, 150, 210, 300, 450];

fn copy(data_dir: &Path, to: &str) -> Command {
    let mut command = Command::new(binary::septet());
    command.current_dir(data_dir).args(["copy", "--links-timeout-ms", "10000", "--to", to, "--from"]);
    command.arg(format!("sqlite:{}", data_dir.join("links.db").display()));
    command
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

async fn make(client: &Client) -> Vec<Link> {
    let plain = stream::iter(0..LINKS).map(async |n| client.link_to(&format!("https://example.com/{n}")).await);
    let named = stream::iter(0..LINKS).map(async |n| {
        let url = format!("https://example.com/named/{n}");
        let link =
            json!({ "url": url, "key": format!("name-{n}"), "externalId": format!("e-{n}"), "archived": n % 7 == 0 });
        client.create(&link).await.link()
    });
    let (mut links, named): (Vec<_>, Vec<_>) =
        (plain.buffer_unordered(16).collect().await, named.buffer_unordered(16).collect().await);
    links.extend(named);
    links
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Cassandra: run by tests/run"]
async fn a_copy_that_is_killed_again_and_again_is_whole_in_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let setup = Setup::in_mode(Mode::Embedded, dir.path());
    let septet = setup.start();
    let links = make(&septet.client()).await;
    let keyspace = tokio::task::spawn_blocking(|| Keyspace::new(cassandra::shared(), 1)).await.unwrap();

    let refused = copy(dir.path(), &keyspace.url()).output().unwrap();
    assert!(!refused.status.success() && text(&refused).contains("in use by another process"), "{}", text(&refused));
    septet.stop();

    for ms in KILLED_AFTER_MS {
        let mut copying = copy(dir.path(), &keyspace.url()).spawn().unwrap();
        thread::sleep(Duration::from_millis(ms));
        copying.kill().unwrap();
        copying.wait().unwrap();
    }
    for _ in 0..2 {
        let copied = copy(dir.path(), &keyspace.url()).output().unwrap();
        let counted = format!("both count {} links", links.len());
        assert!(copied.status.success() && text(&copied).contains(&counted), "{}", text(&copied));
    }

    let there =
        setup.flag("--links", keyspace.url()).flag("--links-timeout-ms", "10000").allow_log(ADVICE_OF_CASSANDRA);
    let septet = there.start();
    let client = septet.client();
    for link in &links {
        assert_eq!(client.open(&link.key).await.header("location"), Some(link.url.as_str()));
        assert_eq!(client.by_id(&link.id).await.link().key, link.key);
    }
    for n in 0..LINKS {
        assert_eq!(client.by_id(&format!("ext_e-{n}")).await.link().key, format!("name-{n}"));
    }
    let archived = (0..LINKS).filter(|n| n % 7 == 0).count();
    assert_eq!(client.count().await, (links.len() - archived) as u64);
    // Ids go on behind those that were used.
    let mut keys: HashSet<_> = links.iter().map(|link| link.key.clone()).collect();
    for n in 0..LINKS {
        assert!(keys.insert(client.link_to(&format!("https://example.com/later/{n}")).await.key));
    }
    septet.stop();
}
