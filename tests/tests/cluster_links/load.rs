//! Load from several instances, and what came of it.

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use reqwest::Method;
use septet_tests::{
    client::{Answer, Client, Link, try_send},
    wait,
};
use serde_json::json;
use tokio::task::JoinSet;

/// So many of each kind for each instance.
const CREATORS: usize = 2;
const OPENERS: usize = 2;

/// Between two requests of one of them: what is tried is an outage, not the machine.
const PAUSE: Duration = Duration::from_millis(15);

/// Links that are opened again and again.
const HOT_LINKS: usize = 20;

/// What there is of a link is told within this time, once nodes are together.
const TOLD_WITHIN: Duration = Duration::from_secs(20);

/// A few things look at the links in the end, at once.
const LOOKERS: usize = 8;

/// Answers of one kind, by how they ended, and how long they took.
#[derive(Debug, Default, Clone)]
pub struct Answers {
    pub good: u64,
    pub refused: u64,
    took: Vec<Duration>,
}

impl Answers {
    /// Notes a good answer, or a 503 as it must be: with the time after which to try again.
    pub fn note(&mut self, answer: &Answer, took: Duration) {
        self.took.push(took);
        if answer.status == 503 {
            assert_eq!(answer.header("retry-after"), Some("1"), "{}", answer.text);
            self.refused += 1;
        } else {
            self.good += 1;
        }
    }

    /// These and others.
    pub fn with(mut self, others: Self) -> Self {
        self.good += others.good;
        self.refused += others.refused;
        self.took.extend(others.took);
        self
    }

    pub fn all(&self) -> u64 {
        self.good + self.refused
    }

    pub fn refused_percent(&self) -> f64 {
        self.refused as f64 * 100.0 / self.all().max(1) as f64
    }

    /// What `percent` of them took at most.
    pub fn percentile(&self, percent: usize) -> Duration {
        let mut took = self.took.clone();
        took.sort_unstable();
        took.get((took.len() * percent / 100).min(took.len().saturating_sub(1))).copied().unwrap_or_default()
    }
}

impl fmt::Display for Answers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [p50, p99, max] = [50, 99, 100].map(|percent| self.percentile(percent));
        write!(f, "{} good, {} refused, p50 {p50:.0?}, p99 {p99:.0?}, at most {max:.0?}", self.good, self.refused)
    }
}

/// What was made, and what came of opening it.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Where each key that was answered leads.
    pub urls: HashMap<String, String>,
    /// Requests for a link that got no answer at all, or a 503: there may be one, or none.
    pub unclear: u64,
    pub creates: Answers,
    /// Of links that the asked instance has in its cache.
    pub cached: Answers,
    /// Of links that it has not.
    pub misses: Answers,
}

impl Outcome {
    /// Takes note of a link that was answered.
    pub fn made(&mut self, link: &Link) {
        let before = self.urls.insert(link.key.clone(), link.url.clone());
        assert!(before.is_none(), "code {} was answered twice: for {before:?} and {}", link.key, link.url);
    }

    /// What was counted since the last time.
    pub fn take_answers(&mut self) -> [Answers; 3] {
        [&mut self.creates, &mut self.cached, &mut self.misses].map(std::mem::take)
    }
}

/// Clients at work until they are told to stop.
pub struct Load {
    outcome: Arc<Mutex<Outcome>>,
    stop: Arc<AtomicBool>,
    workers: JoinSet<()>,
}

/// What a worker needs.
#[derive(Clone)]
struct Worker {
    client: Client,
    outcome: Arc<Mutex<Outcome>>,
    stop: Arc<AtomicBool>,
    /// Links that were made at another instance, and that this one has not been asked for.
    unseen: Arc<Mutex<VecDeque<Link>>>,
}

impl Load {
    /// Creations, and redirects of cached and of uncached links, at every instance: what one makes, the next one is asked for.
    pub async fn start(clients: &[Client]) -> Self {
        let (outcome, stop) = (Arc::<Mutex<Outcome>>::default(), Arc::<AtomicBool>::default());
        let unseen: Vec<Arc<Mutex<VecDeque<Link>>>> = clients.iter().map(|_| Arc::default()).collect();
        let mut workers = JoinSet::new();
        for (n, client) in clients.iter().enumerate() {
            let worker = Worker {
                client: client.clone(),
                outcome: Arc::clone(&outcome),
                stop: Arc::clone(&stop),
                unseen: Arc::clone(&unseen[n]),
            };
            let mut hot = Vec::new();
            for link in 0..HOT_LINKS {
                let link = client.link_to(&format!("https://example.com/hot/{n}/{link}")).await;
                outcome.lock().made(&link);
                client.open(&link.key).await;
                hot.push(link);
            }
            for _ in 0..OPENERS {
                workers.spawn(worker.clone().open_cached(hot.clone()));
                workers.spawn(worker.clone().open_unseen());
            }
            for creator in 0..CREATORS {
                let next = Arc::clone(&unseen[(n + 1) % clients.len()]);
                workers.spawn(worker.clone().create(format!("{n}/{creator}"), next));
            }
        }
        Self { outcome, stop, workers }
    }

    /// What was counted since the last time this was asked: creations, cached redirects, misses.
    pub fn take_answers(&self) -> [Answers; 3] {
        self.outcome.lock().take_answers()
    }

    /// Ends it.
    pub async fn end(mut self) -> Outcome {
        self.stop.store(true, Ordering::Relaxed);
        while let Some(ended) = self.workers.join_next().await {
            ended.expect("every answer was right");
        }
        Arc::into_inner(self.outcome).expect("every worker has ended").into_inner()
    }
}

impl Worker {
    fn goes_on(&self) -> bool {
        !self.stop.load(Ordering::Relaxed)
    }

    async fn create(self, name: String, next: Arc<Mutex<VecDeque<Link>>>) {
        let mut n = 0;
        while self.goes_on() {
            n += 1;
            let url = format!("https://example.com/{name}/{n}");
            let (answer, took) = create(&self.client, &url).await;
            {
                let mut outcome = self.outcome.lock();
                outcome.creates.note(&answer, took);
                if answer.status == 503 {
                    outcome.unclear += 1;
                } else {
                    let link = answer.link();
                    outcome.made(&link);
                    next.lock().push_back(link);
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn open_cached(self, links: Vec<Link>) {
        for link in links.iter().cycle() {
            if !self.goes_on() {
                return;
            }
            let (answer, took) = open(&self.client, link).await;
            self.outcome.lock().cached.note(&answer, took);
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn open_unseen(self) {
        while self.goes_on() {
            let unseen = self.unseen.lock().pop_front();
            if let Some(link) = unseen {
                let (answer, took) = open(&self.client, &link).await;
                self.outcome.lock().misses.note(&answer, took);
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// Asks for a link to `url`, and says how long the answer took.
pub async fn create(client: &Client, url: &str) -> (Answer, Duration) {
    let begun = Instant::now();
    let answer = try_send(client.api(Method::POST, "/links").json(&json!({ "url": url }))).await.expect("an answer");
    assert!(matches!(answer.status, 200 | 503), "{url}: {} {}", answer.status, answer.text);
    (answer, begun.elapsed())
}

/// Opens a link that is there: it leads where it should, or the answer is 503. Never is it said to be missing.
pub async fn open(client: &Client, link: &Link) -> (Answer, Duration) {
    let begun = Instant::now();
    let answer = client.open(&link.key).await;
    let took = begun.elapsed();
    if answer.status != 503 {
        assert_eq!((answer.status, answer.header("location")), (302, Some(link.url.as_str())), "{}", link.key);
    }
    (answer, took)
}

/// Every link that was answered leads where it should, at every instance. By HEAD, which is not counted.
pub async fn look_at_all(clients: &[Client], urls: &HashMap<String, String>) {
    let urls: Arc<Vec<_>> = Arc::new(urls.iter().map(|(key, url)| (key.clone(), url.clone())).collect());
    let mut lookers = JoinSet::new();
    for looker in 0..LOOKERS {
        let (clients, urls) = (clients.to_vec(), Arc::clone(&urls));
        lookers.spawn(async move {
            for (key, url) in urls.iter().skip(looker).step_by(LOOKERS) {
                for client in &clients {
                    // Not to be told is no loss.
                    let answer = wait::until("an answer", TOLD_WITHIN, async || {
                        Some(client.peek(key).await).filter(|answer| answer.status != 503)
                    });
                    let answer = answer.await;
                    assert_eq!((answer.status, answer.header("location")), (302, Some(url.as_str())), "{key}");
                }
            }
        });
    }
    while let Some(looked) = lookers.join_next().await {
        looked.expect("every link is there");
    }
}
