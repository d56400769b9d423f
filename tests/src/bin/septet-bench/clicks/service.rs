//! A `septet-analytics` that counts a full topic, from its beginning to its end.

use std::{
    fs,
    net::SocketAddr,
    thread,
    time::{Duration, Instant},
};

use analytics::{client::HttpQueries, query::Queries};
use anyhow::{Context, Result, ensure};
use rdkafka::{
    ClientConfig, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
};
use septet_tests::{analytics_service, engines::unique_name, process::Running};
use tempfile::TempDir;

use super::{progress::Progress, scrape::Scrape, topic::Filled};
use crate::Flag;

/// Partitions that it has of its group.
const PARTITIONS: &str = "septet_consumer_partitions";

/// A statement's time: a hiccup of the machine's is to show in the figures, and not to have the service try again.
const ROLLUPS_TIMEOUT_MS: &str = "20000";

/// How long making a keyspace may take.
const MIGRATED_WITHIN: Duration = Duration::from_secs(120);

/// It has joined its group within this time.
const BEGUN_WITHIN: Duration = Duration::from_secs(60);

/// The fewest clicks a second: who is slower is given up.
const SLOWEST_PER_SECOND: u64 = 1_000;

/// How often it is looked whether it begins.
const FIRST_LOOK: Duration = Duration::from_millis(10);

/// How often it is looked whether it is through: seldom enough to cost next to nothing.
const LAST_LOOK: Duration = Duration::from_millis(50);

/// How long Kafka may take to say how far a group is.
const OFFSETS_LIMIT: Duration = Duration::from_secs(10);

/// Links whose totals are asked for at once.
const LINKS_AT_ONCE: usize = 500;

/// One that has joined a group of its own, and counts into rollups of its own.
pub struct Service<'a> {
    running: Running,
    filled: &'a Filled,
    queries: HttpQueries,
    /// Asks how far the group is.
    group: BaseConsumer,
    directory: TempDir,
}

impl<'a> Service<'a> {
    /// Counts into a keyspace, as `--rollups` names it, which is made; or into a file.
    ///
    /// # Errors
    /// When the keyspace is not made.
    pub fn start(filled: &'a Filled, keyspace: Option<&str>, flags: &[Flag]) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let group = unique_name("group");
        let mut launch = analytics_service::launch(&filled.topic, directory.path())
            .flag("--group", &group)
            .flag("--rollups-timeout-ms", ROLLUPS_TIMEOUT_MS)
            // What fails is tried again, and told with the figures.
            .allow_log("");
        if let Some(keyspace) = keyspace {
            launch = launch.flag("--rollups", keyspace);
        }
        let launch = flags.iter().fold(launch, |launch, (name, value)| launch.flag(name, value));
        let migrated = launch.run_to_end_within("migrate", MIGRATED_WITHIN);
        ensure!(migrated.status.success(), "{}", migrated.stderr_text());
        let running = launch.start();
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &filled.topic.bootstrap).set("group.id", group);
        let queries = analytics_service::client(&[running.listen]);
        Ok(Service { running, filled, queries, group: config.create()?, directory })
    }

    pub fn pid(&self) -> u32 {
        self.running.pid()
    }

    /// Where it answers questions.
    pub fn listen(&self) -> SocketAddr {
        self.running.listen
    }

    /// What it says of itself now.
    ///
    /// # Errors
    /// When it does not.
    pub fn scrape(&self) -> Result<Scrape> {
        Scrape::of(&self.running)
    }

    /// Waits until it has all partitions: from then on it reads them.
    ///
    /// # Errors
    /// When it does not join its group in time.
    pub fn until_begun(&self) -> Result<()> {
        let deadline = Instant::now() + BEGUN_WITHIN;
        while self.scrape()?.sum(PARTITIONS) < f64::from(self.filled.partitions) {
            ensure!(Instant::now() < deadline, "no partitions were given to it within {BEGUN_WITHIN:?}");
            thread::sleep(FIRST_LOOK);
        }
        Ok(())
    }

    /// Waits until all clicks are counted, durably: their offsets are committed behind the rows.
    ///
    /// # Errors
    /// When that takes too long.
    pub fn until_committed(&self) -> Result<()> {
        let clicks = self.filled.clicks;
        let limit = BEGUN_WITHIN + Duration::from_secs(clicks / SLOWEST_PER_SECOND);
        let deadline = Instant::now() + limit;
        let mut progress = Progress::begin(format!("counting {clicks} clicks"), clicks);
        loop {
            let committed = self.committed()?;
            if committed == clicks {
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "{committed} of {clicks} clicks were counted within {limit:?}");
            progress.at(committed);
            thread::sleep(LAST_LOOK);
        }
    }

    /// How many clicks of all partitions its group has committed.
    fn committed(&self) -> Result<u64> {
        let mut partitions = TopicPartitionList::new();
        for partition in 0..self.filled.partitions.cast_signed() {
            partitions.add_partition(&self.filled.topic.name, partition);
        }
        let committed = self.group.committed_offsets(partitions, OFFSETS_LIMIT)?;
        let offsets = committed.elements().into_iter().map(|partition| match partition.offset() {
            Offset::Offset(offset) => offset.unsigned_abs(),
            _ => 0,
        });
        Ok(offsets.sum())
    }

    /// Asks for the totals of every link: each click must be there.
    ///
    /// # Errors
    /// When one is not, or is there twice.
    pub async fn check(&self) -> Result<()> {
        let links: Vec<_> = self.filled.links.iter().map(|(link, clicks)| (*link, *clicks)).collect();
        for some in links.chunks(LINKS_AT_ONCE) {
            let ids: Vec<_> = some.iter().map(|(link, _)| *link).collect();
            let totals = self.queries.totals(&ids).await?;
            for ((link, clicks), totals) in some.iter().zip(totals) {
                let counted = totals.clicks + totals.bots;
                ensure!(counted == *clicks, "{counted} of {clicks} clicks of link {link} were counted");
            }
        }
        Ok(())
    }

    /// Stops it in order: bytes of the file that it counted into, if it did.
    ///
    /// # Errors
    /// When the file is not there.
    pub fn stop(self) -> Result<Option<u64>> {
        let Service { running, directory, .. } = self;
        running.stop();
        let file = directory.path().join("rollups.db");
        let has_file = file.exists();
        has_file.then(|| Ok(fs::metadata(&file).context("the rollups")?.len())).transpose()
    }
}
