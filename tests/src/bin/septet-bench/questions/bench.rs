//! One turn: questions of one kind, and what they cost.

use std::{collections::BTreeMap, process, time::Duration};

use anyhow::{Context, Result, ensure};
use rand::{SeedableRng, rngs::SmallRng};
use septet_tests::bench::{
    cassandra::{Node, number},
    load::{self, Load, Pace},
    moment::Moment,
};
use tokio::runtime::Runtime;

use super::{
    Settings, Turn,
    asking::{Asking, Kind},
    served::Calls,
};
use crate::clicks::{draw::Links, progress::say, service::Service};

/// The longest that a turn may take.
const TURN_LIMIT: Duration = Duration::from_secs(600);

/// A service that has counted everything.
pub(super) struct Bench<'a> {
    node: &'a Node,
    service: &'a Service<'a>,
    keyspace: &'a str,
    runtime: &'a Runtime,
    links: Links,
    random: SmallRng,
}

impl<'a> Bench<'a> {
    pub fn new(
        node: &'a Node,
        service: &'a Service<'a>,
        keyspace: &'a str,
        links: Links,
        runtime: &'a Runtime,
    ) -> Self {
        Bench { node, service, keyspace, runtime, links, random: SmallRng::seed_from_u64(0) }
    }

    /// All of them, after an unmeasured one of each kind: Cassandra is slow at first.
    pub fn turns(&mut self, settings: &Settings, kinds: &[Kind]) -> Result<Vec<Turn>> {
        say("warming up");
        let most = settings.in_flight.iter().copied().max().context("--in-flight")?;
        for kind in kinds {
            self.turn(0, kind, most, settings.questions)?;
        }
        let mut turns = Vec::new();
        for round in 0..settings.rounds {
            for in_flight in &settings.in_flight {
                say(format_args!("round {round}, {in_flight} in flight"));
                for kind in kinds {
                    turns.push(self.turn(round, kind, *in_flight, settings.questions)?);
                }
            }
        }
        Ok(turns)
    }

    fn turn(&mut self, round: usize, kind: &Kind, in_flight: usize, questions: u64) -> Result<Turn> {
        let processes = [("septet", self.service.pid()), ("client", process::id()), ("cassandra", self.node.pid())];
        let load = Load { connections: in_flight, pace: Pace::Saturated, time: TURN_LIMIT };
        let listen = self.service.listen();
        let (calls, reads) = (Calls::of(&self.service.scrape()?), self.reads()?);
        let before = Moment::of(&processes)?;
        let mut asking = Asking::new(kind, &self.links, &mut self.random, listen, questions);
        let outcome = load::run(listen, load, &mut asking)?;
        let stretch = Moment::of(&processes)?.since(&before);
        let answers = outcome.answers;
        ensure!(answers == questions, "{answers} of {questions} questions were answered within {TURN_LIMIT:?}");
        let calls = Calls::of(&self.service.scrape()?).since(&calls);
        let reads = self.reads()?.into_iter().map(|(table, count)| {
            let before = reads.get(&table).unwrap_or(&0.0);
            ((count - before) / questions as f64, table)
        });
        Ok(Turn {
            round,
            kind: kind.name.clone(),
            in_flight,
            questions,
            per_second: outcome.per_second(),
            latency: outcome.latency(),
            served: calls.served()?,
            reads: reads.filter(|(each, _)| *each > 0.0).map(|(each, table)| (table, each)).collect(),
            cpu_us: stretch.cpu_us(questions),
            others_cores: stretch.others_cores,
            outcome,
            calls,
        })
    }

    fn reads(&self) -> Result<BTreeMap<String, f64>> {
        self.runtime.block_on(self.node.reads(self.keyspace))
    }

    /// Partitions that the days of the most clicked link are in.
    pub fn day_partitions(&self) -> Result<usize> {
        let select = format!("SELECT DISTINCT subject, bucket FROM {}.days", self.keyspace);
        let subjects = self.runtime.block_on(self.node.rows(&select))?;
        let subjects = subjects.iter().map(|row| number(row, 0)).collect::<Result<Vec<_>>>()?;
        Ok(subjects.into_iter().filter(|subject| *subject == self.links.first().cast_signed()).count())
    }
}
