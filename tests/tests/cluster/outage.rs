//! The token services are away, and MySQL with them: what there is goes on, and what is missing comes back by itself.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use reqwest::Method;
use septet_tests::{
    client::{Client, Link, send},
    engines::{Engine, mariadb::MariaDb},
    process::Launch,
    restartable::Restartable,
    wait,
};
use serde_json::json;
use token_service::Account;
use tokio::task::JoinSet;

use super::setting::{
    CALL_FAILED, Cluster, LEFT_TO_EXPIRE, NOT_GIVEN_BACK, STARTS_WITHOUT, assert_balanced, client, seconds, try_create,
};

/// More creations at a time than a person would try.
const CREATORS: usize = 64;

/// All blocks that an instance holds after its start are used up within this time.
const USED_UP_WITHIN: Duration = Duration::from_secs(60);

/// Creation goes on within this time after the services are back.
const RECOVERED_WITHIN: Duration = Duration::from_secs(12);

/// A stop takes no longer, whatever is away: less than any one step of it may take.
const STOPPED_WITHIN: Duration = Duration::from_secs(9);

/// What services say when their database is gone.
fn allow_no_database(launch: Launch) -> Launch {
    let said = [
        "a call could not be carried out",
        "the account of the blocks could not be read",
        "acquired connection, but time to acquire exceeded slow threshold",
    ];
    said.into_iter().fold(launch, |launch, text| launch.allow_log(text))
}

/// Creates until there is a 503; how many links were made.
async fn create_until_refused(client: &Client) -> usize {
    let refused = Arc::<AtomicBool>::default();
    let creators: JoinSet<_> = (0..CREATORS)
        .map(|creator| {
            let (client, refused) = (client.clone(), Arc::clone(&refused));
            async move {
                let mut made = 0;
                while !refused.load(Ordering::Relaxed) {
                    let answer = try_create(&client, &format!("https://example.com/{creator}/{made}")).await;
                    let answer = answer.expect("an answer");
                    if answer.status == 200 {
                        made += 1;
                    } else {
                        let message = answer.error(503, "internal_server_error");
                        assert!(message.contains("code"), "{message}");
                        assert_eq!(answer.header("retry-after"), Some("1"));
                        refused.store(true, Ordering::Relaxed);
                    }
                }
                made
            }
        })
        .collect();
    let made = tokio::time::timeout(USED_UP_WITHIN, creators.join_all()).await;
    made.expect("leased blocks end").into_iter().sum()
}

/// Opens links until it is stopped; all of them lead where they should.
fn keep_opening(client: Client, links: Vec<Link>) -> (Arc<AtomicBool>, tokio::task::JoinHandle<usize>) {
    let stop = Arc::<AtomicBool>::default();
    let told = Arc::clone(&stop);
    let opening = tokio::spawn(async move {
        let mut opened = 0;
        while !told.load(Ordering::Relaxed) {
            let link = &links[opened % links.len()];
            let answer = client.open(&link.key).await;
            assert_eq!((answer.status, answer.header("location")), (302, Some(link.url.as_str())));
            opened += 1;
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        opened
    });
    (stop, opening)
}

/// Seen to fail when blocks were not asked for again.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs MariaDB: run by tests/run"]
async fn creation_goes_on_with_what_is_leased_and_recovers_by_itself() {
    let mysql = MariaDb::start();
    let mut cluster = Cluster::start(&mysql.url(), |launch| launch);
    let mut instance =
        Restartable::started(cluster.setup("one").allow_log(CALL_FAILED).allow_log(LEFT_TO_EXPIRE).launch());
    let client = client(&instance);
    let mut links = Vec::new();
    for n in 0..20 {
        links.push(client.link_to(&format!("https://example.com/{n}")).await);
    }
    cluster.kill_services();

    let (stop, opening) = keep_opening(client.clone(), links);
    let made = create_until_refused(&client).await;
    // A block holds 4,096 ids, of which one in 45 makes no code.
    assert!(made > 3_900, "only {made} links were made of what was leased");
    client.create(&json!({ "url": "https://example.com/" })).await.error(503, "internal_server_error");
    assert!(instance.running().metric("septet_no_codes_total").await > 0.0);
    assert!(instance.running().is_ready(), "it serves links");
    // Long enough for calls to be repeated now and then only.
    tokio::time::sleep(seconds(3.0)).await;

    cluster.start_services();
    let back = Instant::now();
    wait::until("a new link", RECOVERED_WITHIN, async || {
        (try_create(&client, "https://example.com/").await.expect("an answer").status == 200).then_some(())
    })
    .await;
    println!("{made} links without a token service; the next one {:?} after it was back", back.elapsed());
    stop.store(true, Ordering::Relaxed);
    assert!(opening.await.expect("every link was served") > 100);
    instance.stop();
    assert_balanced(&cluster.account().await);
}

/// Every part of the API but creation, which needs an id also for a link with an alias.
async fn assert_served_but_not_created(client: &Client, links: &[Link]) {
    for link in links {
        let opened = client.open(&link.key).await;
        assert_eq!((opened.status, opened.header("location")), (302, Some(link.url.as_str())), "{}", link.key);
        let changed = client.change(&link.id, &json!({ "comments": "during the outage" })).await;
        assert_eq!(changed.ok()["comments"], "during the outage");
        assert_eq!(client.by_id(&link.id).await.link().key, link.key);
    }
    assert_eq!(client.get("/links", &[]).await.links().len(), links.len());
    assert_eq!(client.count().await, links.len() as u64);
    client.clicks(Some(&links[0].id)).await;
    let qr = client.get("/qr", &[("url", &links[0].short_link)]).await;
    assert_eq!(qr.status, 200, "{}", qr.text);
    for body in [json!({ "url": "https://example.com/" }), json!({ "url": "https://example.com/", "key": "new-one" })] {
        let refused = client.create(&body).await;
        refused.error(503, "internal_server_error");
        assert_eq!(refused.header("retry-after"), Some("1"));
    }
    let renamed = client.change(&links[0].id, &json!({ "key": "renamed" })).await.link();
    assert_eq!(client.open(&renamed.key).await.status, 302);
    assert_eq!(client.delete(&links[0].id).await.status, 200);
    assert_eq!(client.open("renamed").await.status, 404);
}

/// Seen to fail when every start waited for the id space.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs MariaDB: run by tests/run"]
async fn an_instance_that_is_restarted_during_an_outage_serves_everything_but_new_links() {
    let mut mysql = MariaDb::start();
    let mut cluster = Cluster::start(&mysql.url(), allow_no_database);
    let said = [CALL_FAILED, STARTS_WITHOUT, NOT_GIVEN_BACK];
    let setup = said.into_iter().fold(cluster.setup("one"), |setup, text| setup.allow_log(text));
    let mut instance = Restartable::started(setup.launch());
    let mut links = Vec::new();
    for key in [None, Some("an-alias"), None] {
        let body = json!({ "url": format!("https://example.com/{}", links.len()), "key": key });
        links.push(client(&instance).create(&body).await.link());
    }

    // One service is gone, the other one has no database.
    mysql.kill();
    cluster.services[0].kill();
    instance.kill();
    instance.start();
    assert_served_but_not_created(&client(&instance), &links).await;
    links.remove(0);

    cluster.services[1].kill();
    instance.stop();
    instance.start();
    assert_served_but_not_created(&client(&instance), &links).await;

    mysql.start_again();
    cluster.start_services();
    let client = client(&instance);
    wait::until("a new link", RECOVERED_WITHIN, async || {
        (try_create(&client, "https://example.com/").await.expect("an answer").status == 200).then_some(())
    })
    .await;
    instance.stop();
}

/// Seen to fail when leases were tried to be given back for a minute.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs MariaDB: run by tests/run"]
async fn a_stop_without_token_services_is_in_order_and_in_time() {
    let mysql = MariaDb::start();
    let mut cluster = Cluster::start(&mysql.url(), allow_no_database);
    let setup = |name: &str| cluster.setup(name).allow_log(CALL_FAILED).allow_log(NOT_GIVEN_BACK).launch();
    let [mut killed, mut frozen, mut without_database] = ["one", "two", "three"].map(setup).map(Restartable::started);
    for instance in [&killed, &frozen, &without_database] {
        client(instance).link_to("https://example.com/").await;
    }
    let stop = |what: &str, instance: &mut Restartable| {
        let told = Instant::now();
        instance.stop();
        println!("stopped after {:?}, {what}", told.elapsed());
        assert!(told.elapsed() < STOPPED_WITHIN, "{what}: {:?}", told.elapsed());
    };

    mysql.freeze();
    stop("with a frozen database", &mut without_database);
    mysql.thaw();
    cluster.services.iter().for_each(|service| service.running().freeze());
    stop("with frozen token services", &mut frozen);
    cluster.services.iter().for_each(|service| service.running().thaw());
    cluster.kill_services();
    stop("without token services", &mut killed);

    // No id is lost by it: what was claimed was handed back.
    cluster.start_services();
    let mut next = cluster.instance("four");
    client(&next).link_to("https://example.com/").await;
    next.stop();
    assert_balanced(&cluster.account().await);
}

/// Seen to fail when leases were not given back.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs MariaDB: run by tests/run"]
async fn a_stop_gives_everything_back() {
    let mysql = MariaDb::start();
    let cluster = Cluster::start(&mysql.url(), |launch| launch);
    for round in 0..3 {
        let names = ["one", "two", "three", "four"].map(|name| format!("{name}-{round}"));
        let mut instances = names.map(|name| cluster.instance(&name));
        for instance in &instances {
            for n in 0..3 {
                client(instance).link_to(&format!("https://example.com/{n}")).await;
            }
        }
        instances.iter_mut().for_each(Restartable::stop);
        let account = cluster.account().await;
        assert_balanced(&account);
        let Account { in_use, open_leases, lost, used, expired, .. } = account;
        assert_eq!((in_use, open_leases, lost, used, expired), (0, 0, 0, 0, 0), "{account:?}");
    }
    // The same blocks again and again, each from its next unused id on.
    let account = cluster.account().await;
    assert!(account.ever_leased <= 4 * 3, "{account:?}");
    let refused =
        send(septet_tests::client::Client::new(cluster.addresses()[0], "no key").plain(Method::GET, "/v1/account"));
    assert_eq!(refused.await.status, 401);
}
