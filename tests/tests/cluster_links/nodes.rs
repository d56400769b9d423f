//! The three nodes: started once, lent to one test at a time, and whole again when the next one gets them.

use std::{
    collections::{HashMap, hash_map::Entry},
    time::Duration,
};

use septet_tests::{
    by_hand,
    engines::{Engine, cassandra::Cassandra, network::Network},
    keyspace::Keyspace,
    wait,
};
use tokio::sync::{Mutex, MutexGuard};

/// How long nodes may take to find each other again.
const TOGETHER_WITHIN: Duration = Duration::from_secs(90);

/// So many reads in a row must find every replica: whichever node they begin at.
const READS_TOGETHER: usize = 9;

/// Copies of every row: one on each node.
const COPIES: u32 = 3;

/// A row that every node has a copy of.
const SCHEMA: [&str; 2] = [
    "CREATE KEYSPACE IF NOT EXISTS together WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 3}",
    "CREATE TABLE IF NOT EXISTS together.rows (id int PRIMARY KEY)",
];
const READ: &str = "SELECT id FROM together.rows WHERE id = 1";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Up,
    Killed,
    Frozen,
    CutOff,
    Apart,
}

/// Tests that share a keyspace. Emptying one does not end conditional statements that nobody heard the end of, of instances that were killed and
/// nodes that were cut off: whoever comes to the same row next completes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Users {
    Instances,
    Suite,
}

/// Three nodes, each on a host of its own where there can be a network of hosts.
pub struct Nodes {
    nodes: [Cassandra; 3],
    states: [State; 3],
    network: Result<Network, String>,
    keyspaces: HashMap<Users, Keyspace>,
}

impl Nodes {
    /// All of them, up, and together.
    pub async fn take() -> MutexGuard<'static, Option<Self>> {
        static NODES: Mutex<Option<Nodes>> = Mutex::const_new(None);
        let mut lent = NODES.lock().await;
        let nodes = lent.get_or_insert_with(|| tokio::task::block_in_place(Self::start));
        for node in 0..3 {
            nodes.restore(node);
        }
        nodes.wait_until_together().await;
        lent
    }

    fn start() -> Self {
        match Network::new() {
            Ok(network) => {
                let nodes = Cassandra::start_three_in(&network);
                Self { nodes, states: [State::Up; 3], network: Ok(network), keyspaces: HashMap::new() }
            }
            Err(error) => {
                let network = Err(format!("{error:#}"));
                Self { nodes: Cassandra::start_three(), states: [State::Up; 3], network, keyspaces: HashMap::new() }
            }
        }
    }

    /// All nodes, written `host:port,host:port,host:port`.
    pub fn contact_points(&self) -> String {
        self.nodes.each_ref().map(Cassandra::contact_point).join(",")
    }

    /// The keyspace of the test that has the nodes, empty: made for the first of its kind, emptied for each later one.
    pub fn keyspace(&mut self, users: Users) -> &Keyspace {
        let contact_points = self.contact_points();
        match self.keyspaces.entry(users) {
            Entry::Occupied(keyspace) => {
                keyspace.get().empty();
                keyspace.into_mut()
            }
            Entry::Vacant(room) => room.insert(Keyspace::new(&contact_points, COPIES)),
        }
    }

    /// Every node answers for its copies, whichever is asked.
    pub async fn wait_until_together(&self) {
        let contact_points = self.contact_points();
        wait::until("all nodes together", TOGETHER_WITHIN, async || {
            let session = by_hand::cql(&contact_points).await.ok()?;
            for statement in SCHEMA.into_iter().chain([READ; READS_TOGETHER]) {
                by_hand::cql_rows(&session, statement).await.ok()?;
            }
            Some(())
        })
        .await;
    }

    /// `kill -9`.
    pub fn kill(&mut self, node: usize) {
        self.enter(node, State::Killed);
        self.nodes[node].kill();
    }

    /// Stops it with SIGSTOP: its connections stay, and nothing is answered.
    pub fn freeze(&mut self, node: usize) {
        self.enter(node, State::Frozen);
        self.nodes[node].freeze();
    }

    /// Nothing that is sent to or by it arrives any more, and nobody is told. An error says why that cannot be here.
    pub fn cut_off(&mut self, node: usize) -> Result<(), String> {
        self.network.as_ref().map_err(String::clone)?.cut_off(node);
        self.enter(node, State::CutOff);
        Ok(())
    }

    /// It and the other nodes do not reach each other any more; instances reach all of them. An error says why that cannot be here.
    pub fn part(&mut self, node: usize) -> Result<(), String> {
        self.network.as_ref().map_err(String::clone)?.part(node);
        self.enter(node, State::Apart);
        Ok(())
    }

    /// Up again, whatever was done to it. A killed node answers when this returns.
    pub fn restore(&mut self, node: usize) {
        let network = self.network.as_ref();
        match self.states[node] {
            State::Up => {}
            State::Killed => tokio::task::block_in_place(|| self.nodes[node].start_again()),
            State::Frozen => self.nodes[node].thaw(),
            State::CutOff => network.expect("it was cut off by it").connect(node),
            State::Apart => network.expect("it was parted by it").join(node),
        }
        self.states[node] = State::Up;
    }

    fn enter(&mut self, node: usize, state: State) {
        assert_eq!(self.states[node], State::Up, "one thing at a time");
        self.states[node] = state;
    }
}
