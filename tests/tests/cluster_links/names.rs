//! Names belong to one link, however many instances are asked for one at once.

use std::collections::HashMap;

use reqwest::Method;
use septet_tests::{
    client::{Answer, Client, send},
    septet::DOMAIN,
};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::world::World;

const INSTANCES: usize = 4;

/// For each instance.
const CLIENTS: usize = 4;

const NAMES: usize = 200;

/// Names that are asked for at the same time.
const NAMES_AT_ONCE: usize = 2;

/// Requests that may get no clear answer, of all.
const UNCLEAR_MAX_PERCENT: usize = 2;

/// Links whose creation is repeated.
const REPEATED: usize = 40;

/// What came of one name: who was told that it is theirs, and who got no clear answer, by their URLs.
#[derive(Debug, Default)]
struct Race {
    winners: Vec<String>,
    unclear: Vec<String>,
}

/// Every client of every instance asks for the name at once.
async fn race(clients: &[Client], field: &'static str, name: String) -> (String, Race) {
    let all: JoinSet<_> = (0..CLIENTS)
        .flat_map(|n| clients.iter().cloned().enumerate().map(move |(instance, client)| (n, instance, client)))
        .map(|(n, instance, client)| {
            let mut body = json!({ "url": format!("https://example.com/{instance}/{n}/{name}") });
            body[field] = json!(name);
            async move { (body["url"].as_str().expect("as written").to_owned(), client.create(&body).await) }
        })
        .collect();
    let mut race = Race::default();
    for (url, answer) in all.join_all().await {
        match answer.status {
            200 => race.winners.push(answer.link().url),
            503 => race.unclear.push(url),
            _ => drop(answer.error(409, "conflict")),
        }
    }
    (name, race)
}

/// Whose link `name` is, by each instance.
async fn owners(clients: &[Client], field: &str, name: &str) -> Vec<Option<String>> {
    let mut owners = Vec::new();
    for client in clients {
        let query = if field == "key" { vec![("domain", DOMAIN), ("key", name)] } else { vec![(field, name)] };
        let found = client.get("/links/info", &query).await;
        owners.push(if found.status == 404 { None } else { Some(found.link().url) });
    }
    owners
}

/// Seen to fail when a name was taken without looking whether somebody has it.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Cassandra and MariaDB: run by tests/run"]
async fn a_name_that_many_ask_for_at_once_has_one_winner() {
    let mut world = World::start(INSTANCES).await;
    let clients = world.clients();
    let mut asked_unclear = 0;
    for field in ["key", "externalId"] {
        let mut races: HashMap<String, Race> = HashMap::new();
        for first in (0..NAMES).step_by(NAMES_AT_ONCE) {
            let names = (first..first + NAMES_AT_ONCE).map(|n| race(&clients, field, format!("name-{n}")));
            races.extend(futures::future::join_all(names).await);
        }
        for (name, race) in &races {
            let owners = owners(&clients, field, name).await;
            assert!(owners.iter().all(|owner| *owner == owners[0]), "{field} {name}: {owners:?}, {race:?}");
            assert!(race.winners.len() <= 1, "{field} {name}: {race:?}");
            let owner = owners[0].as_ref();
            match race.winners.first() {
                Some(winner) => assert_eq!(owner, Some(winner), "{field} {name}"),
                None => {
                    assert!(!race.unclear.is_empty(), "{field} {name} was refused to all");
                    assert!(owner.is_none_or(|owner| race.unclear.contains(owner)), "{field} {name}: {owner:?}");
                }
            }
        }
        let unclear: usize = races.values().map(|race| race.unclear.len()).sum();
        println!("{field}: {} of {} requests unclear", unclear, NAMES * INSTANCES * CLIENTS);
        asked_unclear += unclear;
    }
    let asked = 2 * NAMES * INSTANCES * CLIENTS;
    assert!(asked_unclear * 100 <= asked * UNCLEAR_MAX_PERCENT, "{asked_unclear} of {asked} requests unclear");
    world.stop();
}

async fn post(client: &Client, key: &str, body: &Value) -> Answer {
    send(client.api(Method::POST, "/links").header("Idempotency-Key", key).json(body)).await
}

/// Seen to fail when idempotency keys were not looked at.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Cassandra and MariaDB: run by tests/run"]
async fn a_repeated_creation_makes_one_link_at_whichever_instance_and_after_its_death() {
    let mut world = World::start(INSTANCES).await;
    let clients = world.clients();
    let bodies: Vec<_> = (0..REPEATED)
        .map(|n| match n % 2 {
            0 => json!({ "url": format!("https://example.com/{n}") }),
            _ => json!({ "url": format!("https://example.com/{n}"), "key": format!("a-{n}"), "externalId": format!("e-{n}") }),
        })
        .collect();
    let mut links = Vec::new();
    for (n, body) in bodies.iter().enumerate() {
        let key = format!("k-{n}");
        let answers = futures::future::join_all(clients.iter().map(|client| post(client, &key, body))).await;
        // Who came a moment too late may be told to try again.
        let link = answers.iter().find(|answer| answer.status == 200).map(Answer::link).expect("one is answered");
        for answer in answers.iter().filter(|answer| answer.status != 503) {
            assert_eq!(answer.link(), link, "{body}");
        }
        links.push(link);
    }
    world.kill_and_restart_instances();
    for (n, link) in links.iter().enumerate() {
        let (key, client) = (format!("k-{n}"), &clients[n % INSTANCES]);
        assert_eq!(&post(client, &key, &bodies[n]).await.link(), link);
        let other = json!({ "url": "https://example.com/other" });
        post(client, &key, &other).await.error(422, "unprocessable_entity");
    }
    assert_eq!(clients[0].count().await, REPEATED as u64);
    world.stop();
}
