//! A run of the world by a seed, and what must have been counted at its end.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use analytics::{
    consumer::{Consumer, ConsumerOptions},
    rollups::{DAY_MS, Day, Subject},
};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use tokio::{runtime::Builder, task::JoinHandle, time::sleep};

use crate::{
    store::{Cluster, Session},
    topic::{Topic, View, click, source},
};

const LINKS: u64 = 4;
/// Logs that are written to.
const LOGS: u64 = 2;
const PARTITIONS: usize = 2;
const CONSUMERS: usize = 2;
const CLICKS: u64 = 60;
pub const NOON_MS: i64 = 20_000 * DAY_MS + DAY_MS / 2;
/// Longer than any write is late.
const SETTLED_AFTER: Duration = Duration::from_secs(10);

/// What may be left out of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Broken {
    /// Rows are written with the time at which they arrive, instead of with their watermarks.
    TimeOfArrival,
    /// Totals are counters, to which what is new is added.
    Counters,
    /// How far counting is, is written before what was counted.
    ProgressFirst,
    /// It is not kept how far each click log was counted.
    NoLogs,
    /// A row that was read is written in part, as if all replicas had what was read.
    ReadRowsInPart,
    /// It is told that a log has ended while its clicks may still be written again.
    EndsTooSoon,
}

impl Broken {
    pub const ALL: [Broken; 6] = [
        Broken::TimeOfArrival,
        Broken::Counters,
        Broken::ProgressFirst,
        Broken::NoLogs,
        Broken::ReadRowsInPart,
        Broken::EndsTooSoon,
    ];
}

/// Runs the world; what was wrong with it in the end.
pub fn run(seed: u64, broken: Option<Broken>) -> Result<(), String> {
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime");
    runtime.block_on(async {
        let world = World::new(seed, broken);
        world.live().await
    })
}

struct World {
    seed: u64,
    broken: Option<Broken>,
    random: StdRng,
    topic: Arc<Topic>,
    cluster: Arc<Cluster>,
    consumers: Vec<(u64, JoinHandle<()>)>,
    born: u64,
    /// Clicks that were appended for the first time, of each log that ever was.
    appended: BTreeMap<u64, u64>,
    /// Those that have not ended.
    logs: Vec<u64>,
}

impl World {
    fn new(seed: u64, broken: Option<Broken>) -> Self {
        World {
            seed,
            broken,
            random: StdRng::seed_from_u64(seed),
            topic: Topic::new(PARTITIONS),
            cluster: Cluster::new(seed, broken),
            consumers: Vec::new(),
            born: 0,
            appended: BTreeMap::new(),
            logs: (0..LOGS).collect(),
        }
    }

    async fn live(mut self) -> Result<(), String> {
        (0..CONSUMERS).for_each(|_| self.start());
        (0..PARTITIONS).for_each(|partition| self.give(partition));
        while self.appended.values().sum::<u64>() < CLICKS {
            self.happen();
            sleep(Duration::from_millis(self.random.random_range(1..300))).await;
        }
        // Consumers that are not heard of any more may still write.
        self.cluster.calm_down();
        sleep(SETTLED_AFTER).await;
        self.is_counted().await
    }

    /// The next thing that happens.
    fn happen(&mut self) {
        match self.random.random_range(0..100) {
            0..66 => self.append(),
            66..74 => self.repeat(),
            74..80 => self.end_log(),
            80..90 => {
                let partition = self.random.random_range(0..PARTITIONS);
                self.give(partition);
            }
            90..95 => self.kill(),
            _ => self.forget(),
        }
    }

    fn append(&mut self) {
        for _ in 0..self.random.random_range(1..6) {
            let log = self.some_log();
            let n = self.appended.entry(log).or_default();
            self.topic.append(click(log, *n, LINKS));
            *n += 1;
        }
    }

    fn some_log(&mut self) -> u64 {
        self.logs[self.random.random_range(0..self.logs.len())]
    }

    /// A log is told to have ended, and another one is written to from now on.
    fn end_log(&mut self) {
        let log = self.some_log();
        self.topic.end(log);
        if self.broken == Some(Broken::EndsTooSoon) {
            return;
        }
        let newest = self.logs.iter().copied().max().expect("there are logs");
        self.logs.retain(|open| *open != log);
        self.logs.push(newest + 1);
    }

    /// A forwarder that was killed writes again what was not acknowledged: the end of a log.
    fn repeat(&mut self) {
        let log = self.some_log();
        let appended = self.appended.get(&log).copied().unwrap_or_default();
        let from = appended.saturating_sub(self.random.random_range(1..12));
        (from..appended).for_each(|n| self.topic.append(click(log, n, LINKS)));
    }

    fn give(&mut self, partition: usize) {
        let place = self.random.random_range(0..self.consumers.len());
        self.topic.give(partition, self.consumers[place].0);
    }

    fn start(&mut self) {
        self.born += 1;
        let stream = View::new(&self.topic, self.born, self.seed, self.broken);
        let options = ConsumerOptions {
            commit_interval: Duration::from_millis(200),
            batch_clicks_max: 9,
            cache_bytes_max: if self.random.random_bool(0.5) { 1 << 20 } else { 4_000 },
            ..ConsumerOptions::default()
        };
        let store = Session::new(&self.cluster);
        let task = tokio::spawn(async move {
            let ended = Consumer::run(Box::new(stream), store, options, std::future::pending()).await;
            ended.expect("nothing ends a consumer");
        });
        self.consumers.push((self.born, task));
    }

    /// A consumer is killed, and its partitions are another's.
    fn kill(&mut self) {
        let place = self.random.random_range(0..self.consumers.len());
        let (_, task) = self.consumers.remove(place);
        task.abort();
        self.start();
        self.share_out();
    }

    /// A consumer is not heard of any more, and goes on for a while: its partitions are another's.
    fn forget(&mut self) {
        let place = self.random.random_range(0..self.consumers.len());
        drop(self.consumers.remove(place));
        self.start();
        self.share_out();
    }

    /// The group shares all partitions out anew.
    fn share_out(&mut self) {
        (0..PARTITIONS).for_each(|partition| self.give(partition));
    }

    /// Waits until everything is counted, and compares it with the clicks.
    async fn is_counted(&self) -> Result<(), String> {
        for partition in 0..self.topic.count() {
            let mut rounds = 0;
            while self.cluster.progress_of(&source(partition)).watermark < self.topic.len(partition) {
                rounds += 1;
                if rounds > 600 {
                    return Err(format!("partition {partition} is not counted to its end"));
                }
                sleep(Duration::from_millis(100)).await;
            }
            let kept = self.cluster.progress_of(&source(partition)).logs;
            if self.broken != Some(Broken::NoLogs) && kept.keys().any(|log| !self.logs.contains(&log.0)) {
                return Err(format!("partition {partition}: of {kept:?}, only {:?} have not ended", self.logs));
            }
        }
        sleep(SETTLED_AFTER).await;
        let day = Day::of(NOON_MS);
        let clicks = self.appended.iter().flat_map(|(log, count)| (0..*count).map(|n| click(*log, n, LINKS)));
        let clicks: Vec<_> = clicks.collect();
        for partition in 0..self.topic.count() {
            let here = clicks.iter().filter(|click| self.topic.partition_of(click.link) == partition);
            let links: BTreeSet<_> = here.clone().map(|click| click.link).collect();
            for subject in links.into_iter().map(Subject::Link).chain([Subject::All]) {
                let of_subject =
                    here.clone().filter(|click| subject == Subject::All || subject == Subject::Link(click.link));
                let mut values = BTreeMap::<String, u64>::new();
                of_subject.clone().for_each(|click| *values.entry(click.browser.to_string()).or_default() += 1);
                let expected = of_subject.count() as u64;
                let (by_day, by_total) = self.cluster.counted(&source(partition), subject, day);
                if (by_day, by_total) != (expected, expected) {
                    return Err(format!("{subject:?}: {by_day} by the day, {by_total} in total, of {expected} clicks"));
                }
                let counted = self.cluster.values(&source(partition), subject, day);
                if counted != values {
                    return Err(format!("{subject:?}: {counted:?}, where there were {values:?}"));
                }
            }
        }
        Ok(())
    }
}
