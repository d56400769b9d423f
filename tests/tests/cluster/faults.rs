//! Links are made at four instances while MySQL, the services and the instances are killed at random.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use septet_tests::{
    client::{Client, Link},
    engines::{Engine, mariadb::MariaDb},
    process::Launch,
    restartable::Restartable,
    wait,
};
use tokio::task::{JoinSet, block_in_place};

use super::setting::{
    CALL_FAILED, Cluster, LEFT_TO_EXPIRE, NOT_GIVEN_BACK, STARTS_WITHOUT, assert_balanced, client, seconds, try_create,
};

const INSTANCES: usize = 4;

/// For each instance, one request after the other.
const CREATORS: usize = 4;

/// Between two requests of a creator: what all of them make is to be looked at in the end.
const PAUSE: Duration = Duration::from_millis(8);

/// Short, so that blocks of what was killed are leased again while others have claimed them.
const LEASE_TTL: Duration = Duration::from_secs(2);

const FAULTS_FOR: Duration = Duration::from_secs(30);

/// Fewer than these, and the test has not tried much.
const LINKS_MIN: usize = 5_000;

/// A few things look at the links in the end, at once.
const LOOKERS: usize = 8;

/// What was answered, and how often nothing was.
#[derive(Debug, Default)]
struct Made {
    urls: HashMap<String, String>,
    refused: u64,
    /// There may be a link, or none.
    unanswered: u64,
}

impl Made {
    fn add(&mut self, link: Link) {
        let before = self.urls.insert(link.key.clone(), link.url.clone());
        assert!(before.is_none(), "code {} was answered twice: for {before:?} and {}", link.key, link.url);
    }
}

async fn create(client: Client, name: String, made: Arc<Mutex<Made>>, stop: Arc<AtomicBool>) {
    let mut n = 0;
    while !stop.load(Ordering::Relaxed) {
        n += 1;
        let url = format!("https://example.com/{name}/{n}");
        match try_create(&client, &url).await {
            Ok(answer) if answer.status == 200 => made.lock().add(answer.link()),
            Ok(answer) => {
                answer.error(503, "internal_server_error");
                made.lock().refused += 1;
                tokio::time::sleep(PAUSE * 10).await;
            }
            // It is being killed, or started again.
            Err(_) => {
                made.lock().unanswered += 1;
                tokio::time::sleep(PAUSE * 5).await;
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// What happened.
#[derive(Debug, Default)]
struct Faults {
    mysql: u32,
    services: u32,
    instances: u32,
    /// Claims refused, as far as the metric of instances told before they were killed.
    refused_claims: f64,
}

struct World {
    mysql: MariaDb,
    cluster: Cluster,
    instances: Vec<Restartable>,
    faults: Faults,
}

fn allow_service(launch: Launch) -> Launch {
    let said = [
        "a call could not be carried out",
        "the account of the blocks could not be read",
        "serving without it until it answers",
        "waiting for the database",
        "a lease was not renewed in time",
        // sqlx, of a connection to a database that was killed.
        "error occurred while testing the connection on-release",
    ];
    let launch = launch.flag("--lease-ttl-ms", LEASE_TTL.as_millis().to_string());
    said.into_iter().fold(launch.flag("--database-timeout-ms", "1500"), |launch, text| launch.allow_log(text))
}

fn allow_instance(launch: Launch) -> Launch {
    let said = [CALL_FAILED, NOT_GIVEN_BACK, STARTS_WITHOUT, "a lease is lost", LEFT_TO_EXPIRE];
    said.into_iter().fold(launch, |launch, text| launch.allow_log(text))
}

impl World {
    fn start() -> Self {
        let mysql = MariaDb::start();
        let cluster = Cluster::start(&mysql.url(), allow_service);
        let launch = |n: usize| allow_instance(cluster.setup(&format!("instance-{n}")).launch());
        let instances = (0..INSTANCES).map(|n| Restartable::started(launch(n))).collect();
        Self { mysql, cluster, instances, faults: Faults::default() }
    }

    async fn note_refused_claims(&mut self, index: usize) {
        self.faults.refused_claims += self.instances[index].running().metric("septet_blocks_refused_total").await;
    }

    async fn fault(&mut self, rng: &mut StdRng) {
        match rng.random_range(0..10) {
            0 | 1 => {
                let down_for = seconds(rng.random_range(0.1..2.0));
                block_in_place(|| self.mysql.kill());
                tokio::time::sleep(down_for).await;
                block_in_place(|| self.mysql.start_again());
                self.faults.mysql += 1;
            }
            2..6 => {
                let service = &mut self.cluster.services[rng.random_range(0..2)];
                block_in_place(|| service.kill());
                tokio::time::sleep(seconds(rng.random_range(0.0..0.5))).await;
                block_in_place(|| service.start_unready());
                self.faults.services += 1;
            }
            _ => {
                let index = rng.random_range(0..self.instances.len());
                self.note_refused_claims(index).await;
                let instance = &mut self.instances[index];
                block_in_place(|| {
                    instance.kill();
                    instance.start();
                });
                self.faults.instances += 1;
            }
        }
    }

    async fn faults(&mut self, rng: &mut StdRng) {
        let begun = Instant::now();
        while begun.elapsed() < FAULTS_FOR {
            tokio::time::sleep(seconds(rng.random_range(0.1..1.2))).await;
            self.fault(rng).await;
        }
    }
}

/// Seen to fail when a refused claim was taken for a granted one.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs MariaDB: run by tests/run"]
async fn no_code_comes_twice_and_every_link_is_there_whatever_is_killed() {
    let seed = rand::rng().random();
    println!("seed {seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    let mut world = block_in_place(World::start);
    let (made, stop) = (Arc::<Mutex<Made>>::default(), Arc::<AtomicBool>::default());
    let mut creators: JoinSet<()> = JoinSet::new();
    for (n, instance) in world.instances.iter().enumerate() {
        for creator in 0..CREATORS {
            let name = format!("{n}-{creator}");
            creators.spawn(create(client(instance), name, Arc::clone(&made), Arc::clone(&stop)));
        }
    }
    world.faults(&mut rng).await;
    stop.store(true, Ordering::Relaxed);
    while let Some(ended) = creators.join_next().await {
        ended.expect("every answer was right");
    }
    let made = Arc::into_inner(made).expect("every creator has ended").into_inner();

    let clients: Vec<_> = world.instances.iter().map(client).collect();
    for client in &clients {
        wait::until("a new link", Duration::from_secs(20), async || {
            let answer = try_create(client, "https://example.com/afterwards").await.expect("an answer");
            (answer.status == 200).then_some(())
        })
        .await;
    }
    look_at_all(&clients, &made).await;
    for index in 0..INSTANCES {
        world.note_refused_claims(index).await;
        world.instances[index].stop();
    }
    let account = wait::until("no open lease", LEASE_TTL * 3, async || {
        let account = world.cluster.account_after_expiry().await;
        (account.open_leases == 0).then_some(account)
    });
    let account = account.await;
    println!(
        "{} links, {} refused, {} unanswered; {:?}; {account:?}",
        made.urls.len(),
        made.refused,
        made.unanswered,
        world.faults
    );
    assert_balanced(&account);
    assert_eq!(account.in_use, 0, "{account:?}");
    let Faults { mysql, services, instances, refused_claims } = world.faults;
    assert!(mysql > 0 && services > 0 && instances > 0);
    assert!(refused_claims > 0.0, "blocks of killed instances are leased again, and their claims refused");
    assert!(made.urls.len() >= LINKS_MIN, "only {} links", made.urls.len());
    block_in_place(|| world.cluster.services.iter_mut().for_each(Restartable::stop));
}

/// Every link that was answered leads where it should, at every instance. By HEAD, which is not counted.
async fn look_at_all(clients: &[Client], made: &Made) {
    let urls: Arc<Vec<_>> = Arc::new(made.urls.iter().map(|(key, url)| (key.clone(), url.clone())).collect());
    let mut lookers = JoinSet::new();
    for looker in 0..LOOKERS {
        let (clients, urls) = (clients.to_vec(), Arc::clone(&urls));
        lookers.spawn(async move {
            for (key, url) in urls.iter().skip(looker).step_by(LOOKERS) {
                for client in &clients {
                    let answer = client.peek(key).await;
                    assert_eq!((answer.status, answer.header("location")), (302, Some(url.as_str())), "{key}");
                }
            }
        });
    }
    while let Some(looked) = lookers.join_next().await {
        looked.expect("every link is there");
    }
    let (answered, afterwards) = (made.urls.len() as u64, clients.len() as u64);
    for client in clients {
        let there = client.count().await;
        let expected = answered + afterwards..=answered + afterwards + made.unanswered;
        assert!(expected.contains(&there), "{there} links, of which {expected:?} were expected");
    }
}
