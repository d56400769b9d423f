//! Nodes are killed and frozen under load.

use std::time::{Duration, Instant};

use septet_tests::{
    client::{Client, Link},
    wait,
};
use tokio::task::JoinSet;

use super::{
    load::{self, Answers, Load, look_at_all},
    world::World,
};

/// Creations and misses that may fail while one node of three is killed and comes back.
const FAILED_MAX_PERCENT: f64 = 5.0;

/// An answer that the link store is away takes no longer.
const REFUSED_WITHIN: Duration = Duration::from_secs(1);

/// Half of these answers take no longer: a link store that is known to be away is not asked.
const REFUSED_AT_ONCE: Duration = Duration::from_millis(50);

/// A creation takes no longer while one of three nodes does not answer.
const CREATED_WITHIN: Duration = Duration::from_secs(1);

/// A miss takes at most so much longer while one of three nodes does not answer.
const MISS_DELAYED_MAX: Duration = Duration::from_millis(300);

/// Everything is as before within this time after the nodes answer again.
const RECOVERED_WITHIN: Duration = Duration::from_secs(30);

/// Requests of each kind while nodes are away: enough for a percentile.
const REQUESTS: usize = 400;

/// As many at once.
const CLIENTS: usize = 8;

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Each kind of request, in a phase of a test, for the reader.
fn print(phase: &str, answers: &[Answers; 3]) {
    for (kind, answers) in ["creations", "cached redirects", "misses"].iter().zip(answers) {
        println!("{phase}: {kind}: {answers}");
    }
}

/// Seen to fail when one replica was asked for a link, and when all of them had to answer.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Cassandra and MariaDB: run by tests/run"]
async fn a_node_that_is_killed_and_comes_back_is_hardly_noticed() {
    let mut world = World::start_for_outages(2).await;
    let load = Load::start(&world.clients()).await;
    tokio::time::sleep(seconds(3)).await;
    let before = load.take_answers();
    print("before", &before);

    world.nodes().kill(1);
    tokio::time::sleep(seconds(6)).await;
    let down = load.take_answers();
    print("one node down", &down);
    world.nodes().restore(1);
    tokio::time::sleep(seconds(4)).await;
    let back = load.take_answers();
    print("and back", &back);
    let outcome = load.end().await;

    for [creates, cached, misses] in [before, down, back] {
        assert_eq!(cached.refused, 0, "a cached link is served, whatever is away");
        assert!(cached.good > 100 && creates.all() > 50 && misses.all() > 20, "it was tried: {creates}; {misses}");
        for answers in [creates, misses] {
            assert!(answers.refused_percent() <= FAILED_MAX_PERCENT, "{answers}");
        }
    }
    world.nodes().wait_until_together().await;
    world.kill_and_restart_instances();
    let clients = world.clients();
    look_at_all(&clients, &outcome.urls).await;
    let there = clients[0].count().await;
    let made = outcome.urls.len() as u64;
    println!("{made} links, {} unclear, {there} counted", outcome.unclear);
    assert!((made..=made + outcome.unclear).contains(&there), "{there} links of {made} and {}", outcome.unclear);
    world.stop();
}

/// Links of one instance that no other has been asked for.
async fn links(client: &Client, count: usize) -> Vec<Link> {
    let makers: JoinSet<_> = (0..CLIENTS)
        .map(|maker| {
            let client = client.clone();
            async move {
                let mut links = Vec::new();
                while links.len() < count / CLIENTS {
                    let url = format!("https://example.com/{maker}/{}", links.len());
                    let (answer, _) = load::create(&client, &url).await;
                    // A machine with much to do is not what is tried here.
                    links.extend((answer.status == 200).then(|| answer.link()));
                }
                links
            }
        })
        .collect();
    makers.join_all().await.into_iter().flatten().collect()
}

/// Asks for each of `links` and for as many new ones: creations, and misses.
async fn create_and_miss(client: &Client, links: &[Link]) -> [Answers; 2] {
    let clients: JoinSet<_> = links
        .chunks(links.len() / CLIENTS)
        .map(|links| {
            let (client, links) = (client.clone(), links.to_vec());
            async move {
                let [mut creates, mut misses] = [(); 2].map(|()| Answers::default());
                for link in links {
                    let (answer, took) = load::create(&client, &link.url).await;
                    creates.note(&answer, took);
                    let (answer, took) = load::open(&client, &link).await;
                    misses.note(&answer, took);
                }
                [creates, misses]
            }
        })
        .collect();
    let all = clients.join_all().await;
    [0, 1].map(|kind| all.iter().map(|answers| answers[kind].clone()).fold(Answers::default(), Answers::with))
}

/// Seen to fail when what is cached was not served past its time, when calls had no deadlines, and when no circuit
/// opened.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Cassandra and MariaDB: run by tests/run"]
async fn without_a_majority_what_is_cached_is_served_and_the_rest_is_refused_quickly() {
    let mut world = World::start_for_outages(2).await;
    let clients = world.clients();
    let unseen = links(&clients[0], REQUESTS).await;
    let hot = links(&clients[1], 4 * CLIENTS).await;
    for link in &hot {
        assert_eq!(clients[1].open(&link.key).await.status, 302);
    }

    world.nodes().kill(1);
    world.nodes().kill(2);
    let [creates, misses] = create_and_miss(&clients[1], &unseen).await;
    println!("two nodes down: creations: {creates}\ntwo nodes down: misses: {misses}");
    let mut cached = Answers::default();
    for link in hot.iter().cycle().take(REQUESTS) {
        let (answer, took) = load::open(&clients[1], link).await;
        cached.note(&answer, took);
    }
    println!("two nodes down: cached redirects: {cached}");
    assert_eq!(cached.refused, 0);
    for answers in [&creates, &misses] {
        assert!(answers.refused as usize >= REQUESTS * 9 / 10, "there is no majority: {answers}");
        assert!(answers.percentile(99) < REFUSED_WITHIN, "{answers}");
        assert!(answers.percentile(50) < REFUSED_AT_ONCE, "{answers}");
    }

    world.nodes().restore(1);
    world.nodes().restore(2);
    let back = Instant::now();
    for client in &clients {
        wait::until("a new link", RECOVERED_WITHIN, async || {
            (load::create(client, "https://example.com/afterwards").await.0.status == 200).then_some(())
        })
        .await;
    }
    wait::until("a miss", RECOVERED_WITHIN, async || {
        (load::open(&clients[1], &unseen[0]).await.0.status == 302).then_some(())
    })
    .await;
    println!("recovered {:.1?} after the nodes answered", back.elapsed());
    world.nodes().wait_until_together().await;
    world.kill_and_restart_instances();
    let urls = unseen.iter().chain(&hot).map(|link| (link.key.clone(), link.url.clone())).collect();
    look_at_all(&world.clients(), &urls).await;
    world.stop();
}

/// Seen to fail when no second node was asked.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Cassandra and MariaDB: run by tests/run"]
async fn a_node_that_hangs_makes_no_miss_slow() {
    let mut world = World::start_for_outages(2).await;
    let clients = world.clients();
    let unseen = links(&clients[0], REQUESTS).await;
    let [creates, misses] = create_and_miss(&clients[1], &unseen[..REQUESTS / 2]).await;
    println!("before: creations: {creates}\nbefore: misses: {misses}");
    let miss_within = misses.percentile(99) + MISS_DELAYED_MAX;
    world.nodes().freeze(2);
    let [creates, misses] = create_and_miss(&clients[1], &unseen[REQUESTS / 2..]).await;
    println!("one node frozen: creations: {creates}\none node frozen: misses: {misses}");
    world.nodes().restore(2);
    for (answers, within) in [(&creates, CREATED_WITHIN), (&misses, miss_within)] {
        assert!(answers.percentile(99) < within, "{answers}");
        assert!(answers.refused_percent() <= FAILED_MAX_PERCENT, "{answers}");
    }
    world.nodes().wait_until_together().await;
    world.kill_and_restart_instances();
    let urls = unseen.iter().map(|link| (link.key.clone(), link.url.clone())).collect();
    look_at_all(&world.clients(), &urls).await;
    world.stop();
}
