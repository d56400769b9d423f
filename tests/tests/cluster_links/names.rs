//! Names belong to one link, however many instances are asked for one at once.

use std::{collections::HashMap, time::Duration};

use reqwest::Method;
use septet_tests::{
    client::{Answer, Client, send},
    septet::DOMAIN,
};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::world::World;

const INSTANCES: usize = 4;

/// For each instance, and each name.
const CLIENTS: usize = 2;

const NAMES: usize = 200;

/// Names that are asked for at the same time.
const NAMES_AT_ONCE: usize = 4;

/// Whoever gets no clear answer asks so often before giving up: with so many at one name, transactions of a cluster wear each other out.
const TRIES: u32 = 8;

/// Links whose creation is repeated.
const REPEATED: usize = 40;

/// What came of one name.
#[derive(Debug, Default)]
struct Race {
    /// Who was told that it is theirs, by their URLs.
    winners: Vec<String>,
    /// Who got no clear answer at least once, and may have it without having been told.
    unclear: Vec<String>,
    refused: usize,
}

/// Every client of every instance asks for the name at once, until there is a clear answer.
async fn race(clients: &[Client], field: &'static str, name: String) -> (String, Race) {
    let all: JoinSet<_> = (0..CLIENTS)
        .flat_map(|n| clients.iter().cloned().enumerate().map(move |(instance, client)| (n, instance, client)))
        .map(|(n, instance, client)| {
            let url = format!("https://example.com/{instance}/{n}/{name}");
            let body = json!({ "url": url, field: name });
            async move { (url, ask(&client, &body).await) }
        })
        .collect();
    let mut race = Race::default();
    for (url, (answer, refused)) in all.join_all().await {
        race.refused += refused;
        if refused > 0 {
            race.unclear.push(url);
        }
        match answer.status {
            200 => race.winners.push(answer.link().url),
            503 => {}
            _ => drop(answer.error(409, "conflict")),
        }
    }
    (name, race)
}

/// The first clear answer, and how many were not before it.
async fn ask(client: &Client, body: &Value) -> (Answer, usize) {
    let mut refused = 0;
    for attempt in 1..=TRIES {
        let answer = client.create(body).await;
        if answer.status != 503 {
            return (answer, refused);
        }
        refused += 1;
        tokio::time::sleep(Duration::from_millis(rand::random_range(1..=100 * u64::from(attempt)))).await;
    }
    (client.create(body).await, refused)
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

/// Seen to fail when a name that nobody seemed to hold was taken by a plain write: seven of eight were told that it was
/// theirs.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Cassandra and MariaDB: run by tests/run"]
async fn a_name_that_many_ask_for_at_once_has_one_winner() {
    let mut world = World::start(INSTANCES).await;
    let clients = world.clients();
    for field in ["key", "externalId"] {
        let mut races: HashMap<String, Race> = HashMap::new();
        for first in (0..NAMES).step_by(NAMES_AT_ONCE) {
            let names = (first..first + NAMES_AT_ONCE).map(|n| race(&clients, field, format!("name-{n}")));
            races.extend(futures::future::join_all(names).await);
        }
        for (name, race) in &races {
            let owners = owners(&clients, field, name).await;
            assert!(owners.iter().all(|owner| *owner == owners[0]), "{field} {name}: {owners:?}, {race:?}");
            let owner = owners[0].as_ref().unwrap_or_else(|| panic!("{field} {name} was given to nobody: {race:?}"));
            assert!(race.winners.iter().all(|winner| winner == owner), "{field} {name} is {owner}'s: {race:?}");
            assert!(race.winners.len() == 1 || race.unclear.contains(owner), "{field} {name} is {owner}'s: {race:?}");
        }
        let sum = |of: fn(&Race) -> usize| races.values().map(of).sum::<usize>();
        let (winners, refused) = (sum(|race| race.winners.len()), sum(|race| race.refused));
        println!("{field}: {NAMES} names, {winners} winners told, {refused} requests refused");
    }
    world.stop();
}

async fn post(client: &Client, key: &str, body: &Value) -> Answer {
    send(client.api(Method::POST, "/links").header("Idempotency-Key", key).json(body)).await
}

/// Seen to fail when the idempotency key was put on record after the link was written.
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
