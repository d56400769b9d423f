//! Instances on a keyspace of their own in the three nodes, and the token service that they share.

use septet_tests::{
    client::Client,
    engines::mariadb::{self, Database},
    mode::{ADVICE_OF_CASSANDRA, Mode},
    process::Launch,
    restartable::Restartable,
    septet::{API_KEY, Setup},
    token_service as services,
};
use tempfile::TempDir;
use tokio::{sync::MutexGuard, task::block_in_place};

use super::nodes::{Nodes, Users};

/// Short, so that links pass their time in the cache while nodes are away.
pub const CACHE_TTL_MS: &str = "2000";

/// How long a call may take where it is no matter of time.
const PATIENT_MS: &str = "15000";

/// What instances log of nodes that are away or have too much to do: the driver's words, and their own.
const OF_TROUBLE: [&str; 7] = [
    "\"target\":\"scylla::",
    "a request could not be served",
    "the link store fails or is slow; calls are refused until it is not",
    "a block could not be claimed; it is skipped",
    "a claim was not answered in time; its block is skipped",
    "the link store has too much to do; the block is claimed later",
    "this instance has no visitor salt in common with the others",
];

/// Everything that a test of this program drives.
pub struct World {
    pub instances: Vec<Restartable>,
    _tokens: Restartable,
    _database: Database,
    _directory: TempDir,
    nodes: MutexGuard<'static, Option<Nodes>>,
}

impl World {
    /// So many instances, which find everything in order, and wait for as long as nodes take: they share a machine.
    pub async fn start(instances: usize) -> Self {
        Self::start_with(instances, |launch| launch.flag("--links-timeout-ms", PATIENT_MS)).await
    }

    /// So many instances as they are started by default.
    pub async fn start_for_outages(instances: usize) -> Self {
        Self::start_with(instances, |launch| launch).await
    }

    async fn start_with(instances: usize, change: impl Fn(Launch) -> Launch) -> Self {
        let mut nodes = Nodes::take().await;
        block_in_place(|| {
            let directory = tempfile::tempdir().expect("a directory for temporary files");
            let links = nodes.as_mut().expect("taken").keyspace(Users::Instances).url();
            let database = mariadb::database();
            services::migrate(&database.url(), directory.path());
            let tokens = Restartable::started(services::launch(&database.url(), directory.path()));
            let launch = |n: usize| {
                let data_dir = directory.path().join(format!("instance-{n}"));
                std::fs::create_dir(&data_dir).expect("a name of its own");
                let setup = Setup::in_mode(Mode::Embedded, &data_dir)
                    .flag("--links", &links)
                    .flag("--leases", services::urls(&[tokens.address()]))
                    .flag("--cache-ttl-ms", CACHE_TTL_MS)
                    .env("SEPTET_TOKEN_SERVICE_SECRET", services::SECRET)
                    .allow_log(ADVICE_OF_CASSANDRA);
                change(OF_TROUBLE.into_iter().fold(setup.launch(), Launch::allow_log))
            };
            let instances = (0..instances).map(|n| Restartable::started(launch(n))).collect();
            Self { instances, _tokens: tokens, _database: database, _directory: directory, nodes }
        })
    }

    pub fn nodes(&mut self) -> &mut Nodes {
        self.nodes.as_mut().expect("taken")
    }

    /// A client of each instance.
    pub fn clients(&self) -> Vec<Client> {
        self.instances.iter().map(|instance| Client::new(instance.address(), API_KEY)).collect()
    }

    /// `kill -9` of every instance, and the same again: nothing is cached.
    pub fn kill_and_restart_instances(&mut self) {
        block_in_place(|| {
            self.instances.iter_mut().for_each(Restartable::kill);
            self.instances.iter_mut().for_each(Restartable::start);
        });
    }

    /// Stops the instances in order.
    pub fn stop(&mut self) {
        block_in_place(|| self.instances.iter_mut().for_each(Restartable::stop));
    }
}
