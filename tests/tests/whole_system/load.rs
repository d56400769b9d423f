//! People who make links and open them, wherever an instance answers.

use std::{
    collections::{HashMap, VecDeque},
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use rand::{RngExt, SeedableRng, rngs::SmallRng, seq::IndexedRandom};
use reqwest::{Method, header::USER_AGENT};
use septet_tests::{
    client::{Client, Link, try_send},
    septet::API_KEY,
    wait,
};
use serde_json::json;
use tokio::{task::JoinSet, time::sleep};

/// Links that are opened at a time: enough for every partition to have some.
const LINKS: usize = 48;
/// New links that are kept to be opened later.
const SPARE_LINKS: usize = 64;
const CREATORS: u64 = 2;
const CLICKERS: u64 = 6;
/// Between two requests of one person, so that the machine has time for the rest.
const PAUSE: Duration = Duration::from_millis(4);
/// How long it may take until a new link is made, and known.
const SETTLED_WITHIN: Duration = Duration::from_secs(60);
/// After a refusal.
const REFUSED_PAUSE: Duration = Duration::from_millis(50);

/// What browsers say they are; each link's clicks are counted by it as well.
const AGENTS: [(&str, &str); 2] = [
    ("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "Firefox"),
    (
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Safari/605.1.15",
        "Safari",
    ),
];

/// Clicks of one link, by browser.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Clicks {
    /// Answered with a redirect.
    pub answered: [u64; AGENTS.len()],
    /// Sent, and not answered: each may be counted, or not.
    pub unanswered: [u64; AGENTS.len()],
}

/// What was sent and what was answered.
#[derive(Debug, Default)]
pub struct Ledger {
    /// Where each key that was answered leads.
    pub urls: HashMap<String, String>,
    /// The links that are opened, or were.
    pub targets: Vec<(Link, Clicks)>,
    /// Which of them are opened. One that may have a click of which nobody heard makes room for a new one, so that such clicks hide nothing of
    /// the others.
    open: Vec<usize>,
    spare: VecDeque<Link>,
    pub redirects_refused: u64,
    /// The last refusal of a redirect, or failure.
    pub refusal: Option<String>,
    pub creates_refused: u64,
}

impl Ledger {
    /// Clicks that were answered, and those that were not.
    pub fn clicks(&self) -> (u64, u64) {
        let sum = |counts: fn(&Clicks) -> &[u64; AGENTS.len()]| {
            self.targets.iter().flat_map(|(_, clicks)| counts(clicks)).sum()
        };
        (sum(|clicks| &clicks.answered), sum(|clicks| &clicks.unanswered))
    }

    fn open(&mut self, link: Link) -> usize {
        self.targets.push((link, Clicks::default()));
        self.targets.len() - 1
    }

    /// A click was sent, and nothing was heard of it.
    fn unanswered(&mut self, target: usize, agent: usize) {
        self.targets[target].1.unanswered[agent] += 1;
        if let Some(place) = self.open.iter().position(|open| *open == target)
            && let Some(link) = self.spare.pop_front()
        {
            self.open[place] = self.open(link);
        }
    }
}

/// Load that goes on until it is stopped.
pub struct Load {
    pub ledger: Arc<Mutex<Ledger>>,
    stop: Arc<AtomicBool>,
    people: JoinSet<()>,
}

impl Load {
    /// Makes the links that are opened, waits until every instance knows them, and begins.
    pub async fn start(instances: &[SocketAddr]) -> Self {
        let ledger = Arc::new(Mutex::new(Ledger::default()));
        let clients = clients(instances);
        for n in 0..LINKS {
            let url = format!("https://example.com/target/{n}");
            // A database that has just started may be slow to answer.
            let make = async || made(&clients[0], &url).await.ok().flatten();
            let link = wait::until("a link is made", SETTLED_WITHIN, make).await;
            for client in &clients {
                let leads = async || (client.peek(&link.key).await.status == 302).then_some(());
                wait::until("a link leads somewhere", SETTLED_WITHIN, leads).await;
            }
            let mut ledger = ledger.lock();
            ledger.urls.insert(link.key.clone(), link.url.clone());
            let target = ledger.open(link);
            ledger.open.push(target);
        }
        let stop = Arc::new(AtomicBool::new(false));
        let mut people = JoinSet::new();
        for n in 0..CREATORS {
            people.spawn(create(clients.clone(), Arc::clone(&ledger), Arc::clone(&stop), n));
        }
        for n in 0..CLICKERS {
            people.spawn(click(clients.clone(), Arc::clone(&ledger), Arc::clone(&stop), n));
        }
        Load { ledger, stop, people }
    }

    /// Ends, and tells what there was.
    pub async fn stop(mut self) -> Ledger {
        self.stop.store(true, Ordering::Relaxed);
        while let Some(ended) = self.people.join_next().await {
            ended.expect("no answer was wrong");
        }
        std::mem::take(&mut *self.ledger.lock())
    }
}

fn clients(instances: &[SocketAddr]) -> Vec<Client> {
    instances.iter().map(|instance| Client::new(*instance, API_KEY)).collect()
}

async fn create(clients: Vec<Client>, ledger: Arc<Mutex<Ledger>>, stop: Arc<AtomicBool>, seed: u64) {
    let mut random = SmallRng::seed_from_u64(seed);
    for n in 0.. {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let url = format!("https://example.com/{seed}/{n}");
        let client = clients.choose(&mut random).expect("there are instances");
        match made(client, &url).await {
            Ok(Some(link)) => {
                {
                    let mut ledger = ledger.lock();
                    let before = ledger.urls.insert(link.key.clone(), url);
                    assert!(before.is_none(), "the key {} was answered twice", link.key);
                    if ledger.spare.len() < SPARE_LINKS {
                        ledger.spare.push_back(link);
                    }
                }
                sleep(PAUSE).await;
            }
            Ok(None) => {
                ledger.lock().creates_refused += 1;
                sleep(REFUSED_PAUSE).await;
            }
            Err(_) => sleep(REFUSED_PAUSE).await,
        }
    }
}

/// A new link, or nothing if it was refused for now.
async fn made(client: &Client, url: &str) -> reqwest::Result<Option<Link>> {
    let answer = try_send(client.api(Method::POST, "/links").json(&json!({ "url": url }))).await?;
    if answer.status == 200 {
        return Ok(Some(answer.link()));
    }
    assert_eq!(answer.status, 503, "{answer:?}");
    Ok(None)
}

async fn click(clients: Vec<Client>, ledger: Arc<Mutex<Ledger>>, stop: Arc<AtomicBool>, seed: u64) {
    let mut random = SmallRng::seed_from_u64(1_000 + seed);
    while !stop.load(Ordering::Relaxed) {
        // A few are opened often.
        let place = (random.random::<f64>().powi(3) * LINKS as f64) as usize;
        let agent = random.random_range(0..AGENTS.len());
        let (target, key, url) = {
            let ledger = ledger.lock();
            let target = ledger.open[place];
            let link = &ledger.targets[target].0;
            (target, link.key.clone(), link.url.clone())
        };
        let client = clients.choose(&mut random).expect("there are instances");
        let request = client.plain(Method::GET, &format!("/{key}")).header(USER_AGENT, AGENTS[agent].0);
        let opened = try_send(request).await;
        let mut pause = PAUSE;
        {
            let mut ledger = ledger.lock();
            match opened {
                Ok(answer) if answer.status == 302 => {
                    assert_eq!(answer.header("location"), Some(url.as_str()));
                    ledger.targets[target].1.answered[agent] += 1;
                }
                Ok(answer) => {
                    assert_eq!(answer.status, 503, "a link that is there: {answer:?}");
                    ledger.redirects_refused += 1;
                    ledger.refusal = Some(format!("{answer:?}"));
                    pause = REFUSED_PAUSE;
                }
                Err(error) => {
                    if error.is_connect() {
                        ledger.redirects_refused += 1;
                    } else {
                        ledger.unanswered(target, agent);
                    }
                    ledger.refusal = Some(format!("{error:?}"));
                    pause = REFUSED_PAUSE;
                }
            }
        }
        sleep(pause).await;
    }
}

/// The names of the browsers.
pub fn browsers() -> [&'static str; AGENTS.len()] {
    AGENTS.map(|(_, name)| name)
}
