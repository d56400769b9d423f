//! A node is cut off from the others, and not killed: its connections stay, and nothing tells anybody.

use std::time::Duration;

use septet_tests::client::Client;
use serde_json::json;

use super::{
    load::{Load, look_at_all},
    world::World,
};

/// Creations and misses that may fail while one node of three is away.
const FAILED_MAX_PERCENT: f64 = 5.0;

/// How long each partition lasts: longer than nodes take to notice.
const PARTED_FOR: Duration = Duration::from_secs(12);

/// Aliases that are asked for at both instances during a partition.
const ALIASES: usize = 40;

/// So many of them are made at least: a transaction is never sent twice, and those that begin at the node which is away fail.
const ALIASES_MADE_MIN: usize = ALIASES / 3;

/// Asks for one alias after the other, at all instances at once: nobody gets what another has. How many were made, and how many
/// requests were refused.
async fn race_for_aliases(clients: &[Client], name: &str) -> (usize, usize) {
    let (mut made, mut refused) = (0, 0);
    for n in 0..ALIASES {
        let ask = |(of, client): (usize, &Client)| {
            let client = client.clone();
            let body = json!({ "url": format!("https://example.com/{of}"), "key": format!("{name}-{n}") });
            async move { client.create(&body).await }
        };
        let answers = futures::future::join_all(clients.iter().enumerate().map(ask)).await;
        let count = |status: u16| answers.iter().filter(|answer| answer.status == status).count();
        assert_eq!(count(200) + count(409) + count(503), clients.len(), "{answers:?}");
        assert!(count(200) <= 1, "{name}-{n} was given to two: {answers:?}");
        made += count(200);
        refused += count(503);
    }
    (made, refused)
}

/// Seen to fail when a link was answered as soon as one replica had it, and when a name that nobody seemed to hold was
/// taken by a plain write.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Cassandra and MariaDB: run by tests/run"]
async fn a_partition_is_hardly_noticed_by_those_who_reach_a_majority() {
    let mut world = World::start_for_outages(2).await;
    let clients = world.clients();
    for parted in ["from the other nodes", "from everybody"] {
        let load = Load::start(&clients).await;
        tokio::time::sleep(Duration::from_secs(2)).await;
        let before = load.take_answers();
        let cut = if parted == "from everybody" { world.nodes().cut_off(2) } else { world.nodes().part(2) };
        if let Err(reason) = cut {
            eprintln!("there can be no partition here: {reason}");
            load.end().await;
            return world.stop();
        }
        let name = parted.replace(' ', "-");
        let aliases = async {
            tokio::time::sleep(PARTED_FOR / 3).await;
            race_for_aliases(&clients, &name).await
        };
        let ((made, refused), ()) = tokio::join!(aliases, tokio::time::sleep(PARTED_FOR));
        println!("{parted}: {made} of {ALIASES} aliases made, {refused} requests refused");
        let apart = load.take_answers();
        world.nodes().restore(2);
        tokio::time::sleep(Duration::from_secs(2)).await;
        let outcome = load.end().await;

        for (kind, answers) in ["creations", "cached redirects", "misses"].iter().zip(&apart) {
            println!("{parted}: {kind}: {answers}");
        }
        for [creates, cached, misses] in [before, apart] {
            assert_eq!(cached.refused, 0, "a cached link is served, whatever is away");
            assert!(creates.all() > 20 && misses.all() > 10, "it was tried: {creates}; {misses}");
            for answers in [creates, misses] {
                assert!(answers.refused_percent() <= FAILED_MAX_PERCENT, "{answers}");
            }
        }
        assert!(made >= ALIASES_MADE_MIN, "only {made} of {ALIASES} aliases were made");
        world.nodes().wait_until_together().await;
        world.kill_and_restart_instances();
        look_at_all(&clients, &outcome.urls).await;
    }
    world.stop();
}
