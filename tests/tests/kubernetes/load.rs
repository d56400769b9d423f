//! People who open links and make new ones, steadily, and remember what they were answered.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use septet_tests::{
    browser,
    client::{Client, Link},
    raw::Answer,
    septet::{API_KEY, DOMAIN},
};
use serde_json::{Value, json};
use tokio::{
    task::JoinSet,
    time::{MissedTickBehavior, interval, sleep},
};

use crate::connection::{Connection, Unanswered};

/// Links that are opened: enough for every partition to have some.
const LINKS: usize = 24;
/// Who opens links, and who makes them; each does one thing at a time.
const OPENERS: u32 = 20;
const MAKERS: u32 = 4;
/// So many failures are shown.
const SHOWN_MAX: usize = 20;

/// How much is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Rates {
    pub redirects_per_s: f64,
    /// 0: none.
    pub creations_per_s: f64,
}

/// As much as a machine of two cores answers at once beside the cluster and the engines.
pub const STEADY: Rates = Rates { redirects_per_s: 200.0, creations_per_s: 20.0 };

/// A link that is opened, and its clicks.
#[derive(Debug)]
pub struct Target {
    pub link: Link,
    /// Answered with a redirect.
    pub answered: u64,
    /// Sent, and not answered: each may be counted, or not.
    pub unanswered: u64,
}

/// What was sent and what was answered.
#[derive(Debug, Default)]
pub struct Ledger {
    pub targets: Vec<Target>,
    /// Where each key leads whose creation was answered.
    pub made: HashMap<String, String>,
    /// When, since the beginning, and what.
    failures: Vec<(Duration, String)>,
}

impl Ledger {
    /// Clicks that were answered, and those that were not.
    pub fn clicks(&self) -> (u64, u64) {
        let sum = |count: fn(&Target) -> u64| self.targets.iter().map(count).sum();
        (sum(|target| target.answered), sum(|target| target.unanswered))
    }

    /// How many requests were not answered as they should.
    pub fn failures(&self) -> usize {
        self.failures.len()
    }

    /// All of it, for people.
    pub fn summary(&self) -> String {
        let (answered, unanswered) = self.clicks();
        let made = self.made.len();
        format!("{answered} clicks answered, {unanswered} unanswered, {made} links made, {} failures", self.failures())
    }

    /// # Panics
    /// When a request failed.
    #[track_caller]
    pub fn assert_no_failure(&self) {
        let shown: Vec<_> = self.failures.iter().take(SHOWN_MAX).map(|(at, what)| format!("{at:.1?} {what}")).collect();
        assert!(self.failures.is_empty(), "{}:\n{}", self.summary(), shown.join("\n"));
    }
}

/// Load that goes on until it is stopped.
pub struct Load {
    ledger: Arc<Mutex<Ledger>>,
    stop: Arc<AtomicBool>,
    people: JoinSet<()>,
    begun: Instant,
}

impl Load {
    /// Makes the links that are opened, and begins.
    ///
    /// # Panics
    /// When one of them is not made.
    pub async fn start(address: SocketAddr, rates: Rates) -> Self {
        let client = Client::new(address, API_KEY);
        let mut ledger = Ledger::default();
        for n in 0..LINKS {
            let link = client.link_to(&format!("https://example.com/target/{n}")).await;
            ledger.targets.push(Target { link, answered: 0, unanswered: 0 });
        }
        let ledger = Arc::new(Mutex::new(ledger));
        let (stop, begun) = (Arc::<AtomicBool>::default(), Instant::now());
        let person = |number| Person {
            connection: Connection::new(address),
            ledger: Arc::clone(&ledger),
            stop: Arc::clone(&stop),
            begun,
            number,
        };
        let mut people = JoinSet::new();
        for number in 0..OPENERS {
            people.spawn(person(number).opens(every(rates.redirects_per_s, OPENERS)));
        }
        for number in 0..MAKERS {
            if rates.creations_per_s > 0.0 {
                people.spawn(person(number).makes(every(rates.creations_per_s, MAKERS)));
            }
        }
        Self { ledger, stop, people, begun }
    }

    /// How long it has lasted.
    pub fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }

    /// Clicks that were answered so far.
    pub fn clicks_answered(&self) -> u64 {
        self.ledger.lock().clicks().0
    }

    /// # Panics
    /// When a request failed so far.
    #[track_caller]
    pub fn assert_no_failure(&self) {
        self.ledger.lock().assert_no_failure();
    }

    /// Ends, once what is asked is answered, and tells what there was.
    ///
    /// # Panics
    /// When an answer made no sense.
    pub async fn stop(mut self) -> Ledger {
        self.stop.store(true, Ordering::Relaxed);
        while let Some(ended) = self.people.join_next().await {
            ended.expect("every answer made sense");
        }
        std::mem::take(&mut *self.ledger.lock())
    }
}

/// Between two requests of one of `people` who send so many together.
fn every(rate_per_s: f64, people: u32) -> Duration {
    Duration::from_secs_f64(f64::from(people) / rate_per_s)
}

struct Person {
    connection: Connection,
    ledger: Arc<Mutex<Ledger>>,
    stop: Arc<AtomicBool>,
    begun: Instant,
    number: u32,
}

impl Person {
    async fn opens(mut self, pause: Duration) {
        let requests: Vec<_> = self.ledger.lock().targets.iter().map(|target| open(&target.link.key)).collect();
        let mut ticks = self.ticks(pause, OPENERS).await;
        for n in self.number as usize.. {
            ticks.tick().await;
            if self.stop.load(Ordering::Relaxed) {
                return;
            }
            let place = n % requests.len();
            let answer = self.connection.ask(&requests[place]).await;
            let mut ledger = self.ledger.lock();
            let target = &mut ledger.targets[place];
            let failure = match answer {
                Ok(Answer { status: 302, location, .. }) if location.as_deref() == Some(target.link.url.as_bytes()) => {
                    target.answered += 1;
                    continue;
                }
                // Not a redirect, so not a click.
                Ok(answer) => shown(&answer),
                Err(Unanswered { was_sent, why }) => {
                    target.unanswered += u64::from(was_sent);
                    format!("{why:#}")
                }
            };
            ledger.failures.push((self.begun.elapsed(), format!("redirect: {failure}")));
        }
    }

    async fn makes(mut self, pause: Duration) {
        let mut ticks = self.ticks(pause, MAKERS).await;
        for n in 0.. {
            ticks.tick().await;
            if self.stop.load(Ordering::Relaxed) {
                return;
            }
            let url = format!("https://example.com/{}/{n}", self.number);
            let answer = self.connection.ask(&make(&url)).await;
            let mut ledger = self.ledger.lock();
            let failure = match answer {
                Ok(answer) if answer.status == 200 => {
                    let before = ledger.made.insert(key(&answer), url);
                    assert!(before.is_none(), "a key was answered twice: {}", shown(&answer));
                    continue;
                }
                Ok(answer) => shown(&answer),
                Err(Unanswered { why, .. }) => format!("{why:#}"),
            };
            ledger.failures.push((self.begun.elapsed(), format!("creation: {failure}")));
        }
    }

    /// Evenly beside the others.
    async fn ticks(&self, pause: Duration, people: u32) -> tokio::time::Interval {
        sleep(pause * self.number / people).await;
        let mut ticks = interval(pause);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks
    }
}

/// As a browser does, so that it counts as a person's click.
fn open(key: &str) -> Vec<u8> {
    let headers: String = browser::HEADERS.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    format!("GET /{key} HTTP/1.1\r\nHost: {DOMAIN}\r\n{headers}\r\n").into_bytes()
}

fn make(url: &str) -> Vec<u8> {
    let body = json!({ "url": url }).to_string();
    let length = body.len();
    format!(
        "POST /api/links HTTP/1.1\r\nHost: {DOMAIN}\r\nAuthorization: Bearer {API_KEY}\r\n\
         Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

fn key(answer: &Answer) -> String {
    let link: Value = serde_json::from_slice(&answer.body).expect("the API answers JSON");
    link["key"].as_str().expect("a link has a key").to_owned()
}

fn shown(answer: &Answer) -> String {
    format!("{} {}", answer.status, String::from_utf8_lossy(&answer.body).trim_end())
}
