//! The engines, the topics, and one turn on them.

use std::{collections::BTreeMap, process};

use analytics::rollups::Day;
use anyhow::{Result, ensure};
use jiff::Timestamp;
use septet_tests::{
    bench::{
        cassandra::Node,
        cpu,
        moment::{Moment, Stretch},
        report::median,
    },
    engines::{Engine, cassandra::CommitLog, kafka::Kafka, unique_name},
};
use tokio::runtime::Runtime;

use super::{
    Bytes, Settings, Store,
    bare::Bare,
    hours,
    turn::{CASSANDRA, CLIENT, KAFKA, SEPTET, Side, Turn, Written},
};
use crate::{
    Flag,
    clicks::{
        draw::{Clicks, Links, Spread},
        progress::say,
        service::Service,
        topic::Filled,
    },
};

/// Engines that run, and topics that are full.
pub(super) struct Bench<'a> {
    flags: &'a [Flag],
    cassandra: Option<Node>,
    kafka: Kafka,
    topics: Vec<(Spread, Filled)>,
    /// Of each topic that was counted into Cassandra, the keyspace of its last turn.
    keyspaces: BTreeMap<usize, String>,
    runtime: Runtime,
}

impl<'a> Bench<'a> {
    /// `flags` are for the service.
    pub fn start(settings: &Settings, flags: &'a [Flag]) -> Result<Self> {
        let runtime = Runtime::new()?;
        say("starting the engines");
        let commit_log = if settings.periodic { CommitLog::Periodic } else { CommitLog::Batch };
        let cassandra = match settings.store.contains(&Store::Cassandra) {
            true => Some(Node::start(&runtime, commit_log, settings.store_core)?),
            false => None,
        };
        let kafka = Kafka::start();
        let spans = hours(Day::of(Timestamp::now().as_millisecond()));
        let mut topics = Vec::new();
        for spread in &settings.spread {
            for partitions in &settings.partitions {
                let clicks = Clicks::new(settings.clicks, Links::new(settings.links, *spread), spans.clone());
                topics.push((*spread, Filled::new(&kafka, *partitions, clicks)?));
            }
        }
        Ok(Bench { flags, cassandra, kafka, topics, keyspaces: BTreeMap::new(), runtime })
    }

    /// How many topics there are.
    pub fn topics(&self) -> usize {
        self.topics.len()
    }

    /// When Cassandra answers a write, if there is one.
    pub fn commit_log(&self) -> Result<Option<String>> {
        self.cassandra.as_ref().map(|node| self.runtime.block_on(node.commit_log())).transpose()
    }

    /// Does everything once, unmeasured: engines are slow at first.
    pub fn warm_up(&mut self, sides: &[Side]) -> Result<()> {
        say("warming up");
        sides.iter().try_for_each(|side| self.turn(0, 0, *side).map(drop))
    }

    /// One side on one topic.
    pub fn turn(&mut self, round: usize, topic: usize, side: Side) -> Result<Turn> {
        let (spread, Filled { partitions, .. }) = &self.topics[topic];
        say(format_args!("round {round}, {spread:?}, {partitions} partitions: {side:?}"));
        let Some(node) = &self.cassandra else { return self.measure(round, topic, side, None) };
        // What another turn has left to it.
        self.runtime.block_on(node.tidied())?;
        if side != Side::Cassandra {
            return self.measure(round, topic, side, None);
        }
        let keyspace = unique_name("rollups");
        let turn = self.measure(round, topic, side, Some(&format!("scylla://{}/{keyspace}", node.contact_point())))?;
        if let Some(former) = self.keyspaces.insert(topic, keyspace) {
            self.runtime.block_on(node.rows(&format!("DROP KEYSPACE {former}")))?;
        }
        Ok(turn)
    }

    fn measure(&self, round: usize, topic: usize, side: Side, keyspace: Option<&str>) -> Result<Turn> {
        let (spread, filled) = &self.topics[topic];
        let turn = |stretch| Turn::new(round, filled, *spread, side, &stretch);
        match side {
            Side::Bare => Ok(turn(self.read(filled)?)),
            Side::Cassandra | Side::Sqlite => {
                let (stretch, written) = self.count(filled, keyspace)?;
                Ok(Turn { written: Some(written), ..turn(stretch) })
            }
        }
    }

    /// By the bare client.
    fn read(&self, filled: &Filled) -> Result<Stretch> {
        let bare = Bare::start(filled)?;
        let first = bare.read(1)?;
        let before = self.moment(None)?;
        let bytes = first + bare.read(filled.clicks - 1)?;
        let stretch = self.moment(None)?.since(&before);
        ensure!(bytes == filled.event_bytes, "{bytes} bytes were read of {}", filled.event_bytes);
        Ok(stretch)
    }

    /// By the service.
    fn count(&self, filled: &Filled, keyspace: Option<&str>) -> Result<(Stretch, Written)> {
        let service = Service::start(filled, keyspace, self.flags)?;
        service.until_begun()?;
        let before = self.moment(Some(service.pid()))?;
        service.until_committed()?;
        let stretch = self.moment(Some(service.pid()))?.since(&before);
        self.runtime.block_on(service.check())?;
        let scrape = service.scrape()?;
        let file_bytes = service.stop()?;
        Ok((stretch, Written::of(&scrape, filled.clicks, file_bytes)?))
    }

    fn moment(&self, septet: Option<u32>) -> Result<Moment> {
        let mut processes = vec![(CLIENT, process::id()), (KAFKA, cpu::pid_of(&self.kafka))];
        processes.extend(septet.map(|pid| (SEPTET, pid)));
        processes.extend(self.cassandra.as_ref().map(|node| (CASSANDRA, node.pid())));
        Moment::of(&processes)
    }

    /// Stops Cassandra, and measures what each topic takes.
    pub fn finish(mut self, turns: &[Turn]) -> Result<Vec<Bytes>> {
        if let Some(node) = &mut self.cassandra {
            self.runtime.block_on(node.tidied())?;
            node.stop();
        }
        self.topics
            .iter()
            .enumerate()
            .map(|(topic, (spread, filled))| self.bytes(topic, *spread, filled, turns))
            .collect()
    }

    fn bytes(&self, topic: usize, spread: Spread, filled: &Filled, turns: &[Turn]) -> Result<Bytes> {
        let each = |bytes: u64| bytes as f64 / filled.clicks as f64;
        let keyspace = self.keyspaces.get(&topic).zip(self.cassandra.as_ref());
        let cassandra = keyspace.map(|(keyspace, node)| node.row_bytes(keyspace)).transpose()?;
        let files = turns.iter().filter(|turn| turn.is(spread, filled.partitions, Side::Sqlite));
        let files: Vec<_> = files.filter_map(|turn| turn.written.as_ref()?.file_bytes).collect();
        Ok(Bytes {
            spread,
            partitions: filled.partitions,
            links_clicked: filled.links.len(),
            event: each(filled.event_bytes),
            kafka: each(filled.kafka_bytes),
            cassandra: cassandra.map(each),
            sqlite: (!files.is_empty()).then(|| median(files)),
        })
    }
}
