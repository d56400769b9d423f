//! Many instances that want the same at the same time.

use std::{collections::HashMap, sync::Arc};

use futures::future::join_all;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use shortener::{
    key::{Domain, Key},
    link::{Link, LinkId},
    store::{
        Created, Creation, Links, Replaced, StoreError,
        conformance::{alias, aliased, external_id, generated},
        scylla::ScyllaStore,
    },
};

use crate::{
    keyspace::Keyspace,
    work::{create, next},
};

const INSTANCES: usize = 3;

async fn instances(keyspace: &Keyspace) -> Vec<Arc<ScyllaStore>> {
    let mut instances = Vec::new();
    for _ in 0..INSTANCES {
        instances.push(keyspace.instance().await);
    }
    instances
}

/// Seen to fail when an alias was taken from whoever held it without a look.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Cassandra: run by tests/run"]
async fn of_many_instances_that_want_an_alias_one_gets_it() {
    let keyspace = Keyspace::new().await;
    let stores = instances(&keyspace).await;
    for round in 0..4 {
        let wanted = format!("wanted{round}");
        let tries = (0..16).map(|task| {
            let (store, link) = (stores[task % INSTANCES].clone(), aliased(1 + round * 100 + task as u64, &wanted));
            let id = link.id;
            tokio::spawn(async move { (id, store.create(Creation { link, idempotency: None }).await) })
        });
        let (mut winners, mut unanswered) = (Vec::new(), Vec::new());
        for tried in join_all(tries).await {
            match tried.unwrap() {
                (id, Ok(Created::Created)) => winners.push(id),
                // So many at once may keep each other from being answered.
                (id, Err(StoreError::Unavailable(_))) => unanswered.push(id),
                (_, outcome) => assert!(matches!(outcome, Ok(Created::AliasTaken)), "{outcome:?}"),
            }
        }
        let there = stores[0].by_key(&Domain::default(), &alias(&wanted)).await.unwrap().map(|link| link.id);
        match winners[..] {
            [winner] => assert_eq!(there, Some(winner)),
            [] => assert!(there.is_none_or(|id| unanswered.contains(&id)) && !unanswered.is_empty()),
            _ => panic!("{} winners", winners.len()),
        }
    }
}

/// Tasks give few names to few links, to and fro, delete links and make others.
///
/// Seen to fail when a name was taken from whoever held it without a look, when an old name was let go before the change was written, and when a
/// link was written before its names were taken.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Cassandra: run by tests/run"]
async fn names_go_to_and_fro_and_each_has_one_link() {
    const NAMES: u64 = 3;
    const TASKS: u64 = 6;
    const STEPS: u64 = 25;
    let keyspace = Keyspace::new().await;
    let stores = instances(&keyspace).await;
    let tasks = (0..TASKS).map(|task| {
        let store = stores[task as usize % INSTANCES].clone();
        tokio::spawn(async move {
            let mut random = StdRng::seed_from_u64(task);
            for step in 0..STEPS {
                let wanted = alias(&format!("n{}", random.random_range(0..NAMES)));
                let labelled = Some(external_id(&format!("e{}", random.random_range(0..NAMES))));
                let labelled = labelled.filter(|_| random.random_bool(0.5));
                let held = format!("n{}", random.random_range(0..NAMES));
                let outcome = match store.by_key(&Domain::default(), &alias(&held)).await.unwrap() {
                    None => {
                        let link = Link { external_id: labelled, ..aliased(1 + task * 1_000 + step, &held) };
                        store.create(Creation { link, idempotency: None }).await.map(drop)
                    }
                    Some(link) if random.random_bool(0.2) => store.delete(link.id).await.map(drop),
                    Some(link) => {
                        let after = Link { key: wanted, external_id: labelled, ..next(&link) };
                        store.replace(&link, &after).await.map(drop)
                    }
                };
                assert!(matches!(outcome, Ok(()) | Err(StoreError::Unavailable(_))), "{outcome:?}");
            }
        })
    });
    for task in join_all(tasks).await {
        task.unwrap();
    }
    check_names(&stores[0], &keyspace).await;
    for name in 0..NAMES {
        let key = alias(&format!("n{name}"));
        if let Some(link) = stores[1].by_key(&Domain::default(), &key).await.unwrap() {
            stores[1].delete(link.id).await.unwrap();
        }
        assert_eq!(
            create(&stores[2], aliased(900_000 + name, &format!("n{name}"))).await,
            Created::Created,
            "not stuck"
        );
    }
    check_names(&stores[0], &keyspace).await;
}

/// Looks into the tables: no two links have one name, and each link is found by the names that it has.
async fn check_names(store: &ScyllaStore, keyspace: &Keyspace) {
    let mut has: HashMap<Key, LinkId> = HashMap::new();
    let mut labels = HashMap::new();
    for row in rows(keyspace).await {
        let Some(link) = store.by_id(row.id).await.unwrap() else { continue };
        assert_eq!(has.insert(link.key.clone(), link.id), None, "two links have {:?}", link.key);
        assert_eq!(store.by_key(&link.domain, &link.key).await.unwrap().as_ref(), Some(&link));
        if let Some(external_id) = &link.external_id {
            assert_eq!(labels.insert(external_id.clone(), link.id), None, "two links have {external_id:?}");
            assert_eq!(store.by_external_id(external_id).await.unwrap().as_ref(), Some(&link));
        }
    }
}

/// What is left of a link in the table.
#[derive(Debug)]
struct Left {
    id: LinkId,
    url: Option<String>,
    key: Option<String>,
    title: Option<String>,
    revision: Option<i64>,
}

async fn rows(keyspace: &Keyspace) -> Vec<Left> {
    use analytics::cql::Kind;
    let session = keyspace.session().await;
    let select = session.prepare(Kind::Read, "SELECT id, url, key, title, revision FROM links").await.unwrap();
    let rows = session.rows(&select, ()).await.unwrap();
    let rows = rows.rows::<(i64, Option<String>, Option<String>, Option<String>, Option<i64>)>().unwrap();
    rows.map(|row| {
        let (id, url, key, title, revision) = row.unwrap();
        Left { id: LinkId(id.cast_unsigned()), url, key, title, revision }
    })
    .collect()
}

/// Seen to fail when a change was written to whatever revision there was.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Cassandra: run by tests/run"]
async fn what_is_changed_and_deleted_at_once_is_gone() {
    let keyspace = Keyspace::new().await;
    let stores = instances(&keyspace).await;
    let races = (1..=8).map(|race| {
        let stores = stores.clone();
        tokio::spawn(async move {
            let link = generated(race * 100);
            assert_eq!(create(&stores[0], link.clone()).await, Created::Created);
            let changes = stores[1..].iter().map(|store| change_until_gone(store, link.id));
            let deletion = async { stores[0].delete(link.id).await.unwrap().expect("it was there") };
            let (_, deleted) = tokio::join!(join_all(changes), deletion);
            assert_eq!(deleted.id, link.id);
        })
    });
    for race in join_all(races).await {
        race.unwrap();
    }
    for row in rows(&keyspace).await {
        assert!(row.url.as_deref() == Some("") && row.key.is_none() && row.title.is_none(), "a ghost: {row:?}");
        assert!(row.revision > Some(1), "{row:?}");
    }
}

async fn change_until_gone(store: &ScyllaStore, id: LinkId) {
    while let Some(link) = store.by_id(id).await.unwrap() {
        let after = Link { title: Some(format!("{}", link.revision)), ..next(&link) };
        let outcome = store.replace(&link, &after).await.unwrap();
        assert!(matches!(outcome, Replaced::Replaced | Replaced::Stale));
    }
}
