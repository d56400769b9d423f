//! An embedded link store moves into a keyspace, killed on its way again and again.

use std::{
    collections::HashSet,
    path::Path,
    process::{Command, Output},
    thread,
    time::Duration,
};

use futures::{StreamExt, stream};
use reqwest::Method;
use rustix::process::{Pid, Signal, kill_process};
use scylla::client::session::Session;
use septet_tests::{
    binary, by_hand,
    client::{Client, Link, send},
    engines::cassandra,
    keyspace::Keyspace,
    mode::{ADVICE_OF_CASSANDRA, Mode},
    septet::Setup,
    wait,
};
use serde_json::{Value, json};

/// Links with codes, and as many with names.
const LINKS: u32 = 200;
/// Moments at which a copy is killed, in milliseconds from its start.
const KILLED_AFTER_MS: [u64; 6] = [30, 90, 150, 210, 300, 450];

/// Links from long ago, put into the source by hand, so that a copy takes a while.
const OLD_LINKS: u32 = 2_000;
/// As many of them were made in each second: more than are written at the same time, so that a copy goes on in the midst of one.
const OLD_LINKS_PER_S: u32 = 500;
/// Copies that are killed when they have noted how far they have come.
const KILLED_AT_NOTES: usize = 2;
/// So many more links are copied before a copy is killed.
const COPIED_MIN: usize = 200;
/// A copy notes that every two seconds. One that was stopped for longer does it when it goes on.
const STOPPED_FOR: Duration = Duration::from_millis(2_100);
/// Nothing that is waited for takes longer.
const LIMIT: Duration = Duration::from_secs(30);

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

/// Links with aliases on the domain of the instance, under ids at the end of the id space, which nobody gets to.
fn old_links() -> String {
    format!(
        "WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < {OLD_LINKS}) \
         INSERT INTO links (id, domain, key, is_alias, url, archived, redirect_status, created_at_ms, updated_at_ms, revision) \
         SELECT 3521614606207 - i, '', 'old-' || i, 1, 'https://example.com/old/' || i, 0, 302, \
            1700000000000 + i / {OLD_LINKS_PER_S} * 1000 + i % {OLD_LINKS_PER_S}, 1700000000000, 1 FROM n"
    )
}

/// How many links a copy has noted.
async fn noted(session: &Session, keyspace: &Keyspace) -> Option<i64> {
    let select = format!("SELECT links FROM {}.copies", keyspace.name());
    let row = by_hand::cql_rows(session, &select).await.unwrap().pop()?;
    row.columns[0].as_ref()?.as_bigint()
}

async fn count(session: &Session, keyspace: &Keyspace) -> usize {
    by_hand::cql_rows(session, &format!("SELECT id FROM {}.links", keyspace.name())).await.unwrap().len()
}

/// Kills a copy once it has noted how far it has come, which is farther than an earlier one has, and not all.
async fn kill_at_its_note(data_dir: &Path, keyspace: &Keyspace) {
    let session = by_hand::cql(keyspace.nodes()).await.unwrap();
    let (before, links) = (noted(&session, keyspace).await, count(&session, keyspace).await);
    let mut copying = copy(data_dir, &keyspace.url()).spawn().unwrap();
    let signal = |signal| kill_process(Pid::from_child(&copying), signal).expect("a child that is not reaped yet");
    wait::until("links copied", LIMIT, async || (count(&session, keyspace).await >= links + COPIED_MIN).then_some(()))
        .await;
    signal(Signal::STOP);
    tokio::time::sleep(STOPPED_FOR).await;
    signal(Signal::CONT);
    wait::until("a note", LIMIT, async || (noted(&session, keyspace).await > before).then_some(())).await;
    copying.kill().unwrap();
    copying.wait().unwrap();
    let noted = noted(&session, keyspace).await.expect("a note");
    assert!(noted < i64::from(OLD_LINKS), "it was to be killed on its way");
}

async fn create_once(client: &Client) -> Link {
    let body: Value = json!({ "url": "https://example.com/once" });
    send(client.api(Method::POST, "/links").header("Idempotency-Key", "k-1").json(&body)).await.link()
}

/// Seen to fail when claims, idempotency keys or API keys were not taken along, when a copy went on a second behind
/// what was noted, when it went on in the midst of a second, and when the source was not held.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Cassandra: run by tests/run"]
async fn a_copy_that_is_killed_again_and_again_is_whole_in_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let setup = Setup::in_mode(Mode::Embedded, dir.path());
    let septet = setup.start();
    let mut links = make(&septet.client()).await;
    let once = create_once(&septet.client()).await;
    links.push(once.clone());
    let keyspace = tokio::task::spawn_blocking(|| Keyspace::new(cassandra::shared(), 1)).await.unwrap();

    let refused = copy(dir.path(), &keyspace.url()).output().unwrap();
    assert!(!refused.status.success() && text(&refused).contains("in use by another process"), "{}", text(&refused));
    septet.stop();
    by_hand::sqlite(&dir.path().join("links.db"), &old_links()).await;

    for ms in KILLED_AFTER_MS {
        let mut copying = copy(dir.path(), &keyspace.url()).spawn().unwrap();
        thread::sleep(Duration::from_millis(ms));
        copying.kill().unwrap();
        copying.wait().unwrap();
    }
    for _ in 0..KILLED_AT_NOTES {
        kill_at_its_note(dir.path(), &keyspace).await;
    }
    for _ in 0..2 {
        let copied = copy(dir.path(), &keyspace.url()).output().unwrap();
        let counted = format!("both count {} links", links.len() + OLD_LINKS as usize);
        assert!(copied.status.success() && text(&copied).contains(&counted), "{}", text(&copied));
        assert!(text(&copied).contains("a copy that was begun goes on"), "{}", text(&copied));
    }

    // The API key is one of the things that were copied.
    let there = setup.without("--api-key").flag("--links", keyspace.url()).flag("--links-timeout-ms", "10000");
    let septet = there.allow_log(ADVICE_OF_CASSANDRA).allow_log("ids are leased from a file of this instance").start();
    let client = septet.client();
    for link in &links {
        assert_eq!(client.open(&link.key).await.header("location"), Some(link.url.as_str()));
        assert_eq!(client.by_id(&link.id).await.link().key, link.key);
    }
    for n in 0..LINKS {
        assert_eq!(client.by_id(&format!("ext_e-{n}")).await.link().key, format!("name-{n}"));
    }
    for n in (0..OLD_LINKS).step_by(10) {
        let url = format!("https://example.com/old/{n}");
        assert_eq!(client.open(&format!("old-{n}")).await.header("location"), Some(url.as_str()));
    }
    assert_eq!(create_once(&client).await.id, once.id);
    let archived = (0..LINKS).filter(|n| n % 7 == 0).count();
    assert_eq!(client.count().await, (links.len() + OLD_LINKS as usize - archived) as u64);
    // Ids go on behind those that were used.
    let mut keys: HashSet<_> = links.iter().map(|link| link.key.clone()).collect();
    for n in 0..LINKS {
        assert!(keys.insert(client.link_to(&format!("https://example.com/later/{n}")).await.key));
    }
    septet.stop();
}
