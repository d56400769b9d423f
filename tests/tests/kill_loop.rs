//! `kill -9`, again and again, while links are made and opened: what was answered holds.

use std::{
    collections::{HashMap, HashSet},
    env,
    io::{Write, stderr},
    ops::Range,
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use rand::{RngExt, SeedableRng, rngs::SmallRng};
use reqwest::Method;
use septet_tests::{
    client::{Client, Link, try_send},
    mode::Mode,
    septet::{Septet, Setup},
    wait,
};
use serde_json::json;

/// Kills, unless this variable says otherwise.
const KILLS: u64 = 24;
/// The same where links are in a cluster, and each start and each link takes longer.
const KILLS_IN_CLUSTER: u64 = 12;
const KILLS_VARIABLE: &str = "TEST_KILLS";

const CREATORS: u64 = 4;
const CLICKERS: u64 = 4;

/// A creator or clicker stops by itself after so many answers in one round, so that a slow kill costs little.
const ANSWERS_PER_ROUND: u64 = 1_500;

/// Each round adds so many links to those that are opened: enough to spread, few enough to be counted one by one.
const TARGETS_PER_ROUND: usize = 3;

/// When the kill comes, after the first answers of the round.
const KILL_AFTER_MS: Range<u64> = 1..250;

/// When it comes in every third round, after clicks were read from the log: before, at and after their commit.
const KILL_AFTER_READ_MS: Range<u64> = 1..700;

/// How long counting may take once the load is over; far above the promise, which `main_path.rs` checks.
const COUNTED_WITHIN: Duration = Duration::from_secs(30);

/// What was sent and what was answered.
#[derive(Debug, Default)]
struct Ledger {
    /// Where each key that was answered leads.
    urls: HashMap<String, String>,
    ids: HashSet<String>,
    creates_unanswered: u64,
    /// The links that are opened.
    targets: Vec<Arc<Target>>,
    targets_in_round: usize,
}

#[derive(Debug)]
struct Target {
    link: Link,
    clicks: Mutex<Clicks>,
}

#[derive(Debug, Default, Clone, Copy)]
struct Clicks {
    /// Answered with a redirect.
    answered: u64,
    /// Sent, perhaps, and not answered: each may be counted, or not.
    unanswered: u64,
}

impl Ledger {
    fn made(&mut self, link: Link) {
        assert!(self.ids.insert(link.id.clone()), "id {} answered twice", link.id);
        let before = self.urls.insert(link.key.clone(), link.url.clone());
        assert!(before.is_none(), "key {} answered twice: for {before:?} and {}", link.key, link.url);
        if self.targets_in_round < TARGETS_PER_ROUND {
            self.targets_in_round += 1;
            self.targets.push(Arc::new(Target { link, clicks: Mutex::default() }));
        }
    }

    /// How many links and clicks were answered so far.
    fn begin_round(&mut self) -> (usize, u64) {
        self.targets_in_round = 0;
        (self.ids.len(), self.clicks().answered)
    }

    fn any_target(&self, rng: &mut SmallRng) -> Arc<Target> {
        Arc::clone(&self.targets[rng.random_range(0..self.targets.len())])
    }

    fn clicks(&self) -> Clicks {
        self.targets.iter().map(|target| *target.clicks.lock()).fold(Clicks::default(), |sum, clicks| Clicks {
            answered: sum.answered + clicks.answered,
            unanswered: sum.unanswered + clicks.unanswered,
        })
    }
}

/// Makes links until the process is gone; every eighth has an alias.
async fn create(client: Client, ledger: Arc<Mutex<Ledger>>, name: String) {
    for n in 0..ANSWERS_PER_ROUND {
        let url = format!("https://example.com/{name}/{n}");
        let mut body = json!({ "url": url });
        if n % 8 == 7 {
            body["key"] = json!(format!("alias-{name}-{n}"));
        }
        let Ok(answer) = try_send(client.api(Method::POST, "/links").json(&body)).await else {
            ledger.lock().creates_unanswered += 1;
            return;
        };
        let link = answer.link();
        assert_eq!(link.url, url);
        ledger.lock().made(link);
    }
}

/// Opens links until the process is gone.
async fn click(client: Client, ledger: Arc<Mutex<Ledger>>, seed: u64) {
    let mut rng = SmallRng::seed_from_u64(seed);
    for _ in 0..ANSWERS_PER_ROUND {
        let target = ledger.lock().any_target(&mut rng);
        let Ok(answer) = client.try_open(&target.link.key).await else {
            target.clicks.lock().unanswered += 1;
            return;
        };
        assert_eq!((answer.status, answer.header("location")), (302, Some(target.link.url.as_str())));
        target.clicks.lock().answered += 1;
    }
}

/// One round: load, and the kill in the middle of it.
async fn round(septet: Septet, ledger: &Arc<Mutex<Ledger>>, round: u64, rng: &mut SmallRng) -> Septet {
    let client = septet.client();
    let (created, clicked) = ledger.lock().begin_round();
    let mut load = tokio::task::JoinSet::new();
    for n in 0..CREATORS {
        load.spawn(create(client.clone(), Arc::clone(ledger), format!("{round}-{n}")));
    }
    for n in 0..CLICKERS {
        load.spawn(click(client.clone(), Arc::clone(ledger), round * CLICKERS + n));
    }
    wait::until("creating and clicking", COUNTED_WITHIN, async || {
        let ledger = ledger.lock();
        (ledger.ids.len() > created && ledger.clicks().answered > clicked).then_some(())
    })
    .await;
    let kill_after_ms = if round % 3 != 2 {
        KILL_AFTER_MS
    } else {
        wait::until("reading clicks", COUNTED_WITHIN, async || {
            (septet.metric("septet_clicks_folded_total").await > 0.0).then_some(())
        })
        .await;
        KILL_AFTER_READ_MS
    };
    tokio::time::sleep(Duration::from_millis(rng.random_range(kill_after_ms))).await;
    let septet = tokio::task::block_in_place(|| septet.kill_and_restart());
    while let Some(ended) = load.join_next().await {
        ended.expect("no answer was wrong");
    }
    septet
}

/// Every link answered leads where it should. HEAD, so that nothing is counted.
async fn check_links(client: &Client, ledger: &Ledger) {
    let urls: Vec<_> = ledger.urls.iter().map(|(key, url)| (key.clone(), url.clone())).collect();
    let mut checks = tokio::task::JoinSet::new();
    for part in urls.chunks(urls.len().div_ceil(8)) {
        let (client, part) = (client.clone(), part.to_vec());
        checks.spawn(async move {
            for (key, url) in part {
                let answer = client.peek(&key).await;
                assert_eq!((answer.status, answer.header("location")), (302, Some(url.as_str())), "{key}");
            }
        });
    }
    while let Some(checked) = checks.join_next().await {
        checked.expect("every link is there");
    }
    let answered = ledger.ids.len() as u64;
    let there = client.count().await;
    assert!(
        (answered..=answered + ledger.creates_unanswered).contains(&there),
        "{there} links of {answered} answered and {} unanswered",
        ledger.creates_unanswered
    );
}

/// Every click answered is counted once; one that was not answered, once or not at all. Returns the counts.
async fn check_clicks(client: &Client, ledger: &Ledger) -> Vec<u64> {
    let sum = ledger.clicks();
    wait::until("all clicks counted", COUNTED_WITHIN, async || {
        (client.clicks(None).await >= sum.answered).then_some(())
    })
    .await;
    let mut counts = Vec::new();
    for target in &ledger.targets {
        let counted = client.clicks(Some(&target.link.id)).await;
        let Clicks { answered, unanswered } = *target.clicks.lock();
        assert!(
            (answered..=answered + unanswered).contains(&counted),
            "{}: {counted} counted of {answered} answered and {unanswered} unanswered",
            target.link.key
        );
        counts.push(counted);
    }
    assert_eq!(client.clicks(None).await, counts.iter().sum::<u64>());
    counts
}

/// Seen to fail when a creation was answered before its commit; when leases were given out twice and claims granted
/// always, though inserts overwrote; when clicks were released before their commit; when a commit left out how far the
/// log was counted; and when a click was recorded twice, or some were not.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_answered_survives_every_kill() {
    let kills = if Mode::chosen() == Mode::Cluster { KILLS_IN_CLUSTER } else { KILLS };
    let kills = env::var(KILLS_VARIABLE).map_or(kills, |kills| kills.parse().expect("a number"));
    let dir = tempfile::tempdir().unwrap();
    let ledger = Arc::new(Mutex::new(Ledger::default()));
    let mut rng = SmallRng::seed_from_u64(7);
    let mut septet = Setup::new(dir.path()).start();
    // One link for the first clicks of the first round.
    let first = septet.client().link_to("https://example.com/first").await;
    ledger.lock().made(first);
    for n in 0..kills {
        septet = round(septet, &ledger, n, &mut rng).await;
    }

    let ledger = Arc::into_inner(ledger).expect("every task has ended").into_inner();
    let client = septet.client();
    check_links(&client, &ledger).await;
    let counts = check_clicks(&client, &ledger).await;
    septet.stop();

    // A stop in order and a start count nothing again.
    let septet = Setup::new(dir.path()).start();
    let client = septet.client();
    assert_eq!(check_clicks(&client, &ledger).await, counts);

    // Counting goes on where it ended.
    for target in &ledger.targets {
        assert_eq!(client.open(&target.link.key).await.status, 302);
        target.clicks.lock().answered += 1;
    }
    let one_more: Vec<_> = counts.iter().map(|count| count + 1).collect();
    wait::until("the next clicks counted", COUNTED_WITHIN, async || {
        (client.clicks(None).await == one_more.iter().sum::<u64>()).then_some(())
    })
    .await;
    assert_eq!(check_clicks(&client, &ledger).await, one_more);
    septet.stop();

    let Clicks { answered, unanswered } = ledger.clicks();
    // Past the capture of the test runner: these are the figures to report.
    writeln!(
        stderr(),
        "kill loop: {kills} kills; {} links answered, {} not; {answered} clicks answered, {unanswered} not",
        ledger.ids.len(),
        ledger.creates_unanswered,
    )
    .ok();
}
