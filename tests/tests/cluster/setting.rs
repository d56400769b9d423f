//! Two token services on one database, and instances that share one link store.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use reqwest::Method;
use septet_tests::{
    client::{Answer, Client, try_send},
    mode::Mode,
    process::Launch,
    restartable::Restartable,
    septet::{API_KEY, Setup},
    token_service as services,
};
use tempfile::TempDir;
use token_service::{Account, LeaseRecords, LeaseRequest, Leases, Owner, Usage, client::HttpLeases};
use uuid::Uuid;

/// What an instance says while no token service does as it is asked.
pub const CALL_FAILED: &str = "a call to the lease store failed";

/// What an instance says at a start without them.
pub const STARTS_WITHOUT: &str = "the lease store does not say which id space it is";

/// What an instance says when it stops without them.
pub const NOT_GIVEN_BACK: &str = "a lease could not be given back at the end";

/// What an instance says of a lease that is finished during an outage.
pub const LEFT_TO_EXPIRE: &str = "a finished lease could not be given back; it is left to expire";

/// The services, and what instances of theirs are started with.
pub struct Cluster {
    pub services: [Restartable; 2],
    directory: TempDir,
}

impl Cluster {
    /// Both services started, on the database at `url`, which is migrated first.
    pub fn start(url: &str, change: impl FnOnce(Launch) -> Launch) -> Self {
        let directory = tempfile::tempdir().expect("a directory for temporary files");
        services::migrate(url, directory.path());
        let launch = change(services::launch(url, directory.path()));
        let services = [(); 2].map(|()| Restartable::started(launch.clone()));
        Self { services, directory }
    }

    pub fn addresses(&self) -> [SocketAddr; 2] {
        self.services.each_ref().map(Restartable::address)
    }

    /// The link store of all instances.
    pub fn links(&self) -> PathBuf {
        self.directory.path().join("links.db")
    }

    /// An instance with a data directory of its own, not started yet.
    pub fn setup(&self, name: &str) -> Setup {
        self.setup_without_secret(name).env("SEPTET_TOKEN_SERVICE_SECRET", services::SECRET)
    }

    pub fn setup_without_secret(&self, name: &str) -> Setup {
        let data_dir = self.directory.path().join(name);
        std::fs::create_dir(&data_dir).expect("a name of its own");
        Setup::in_mode(Mode::Embedded, &data_dir)
            .flag("--links", format!("sqlite:{}", self.links().display()))
            .flag("--leases", services::urls(&self.addresses()))
    }

    /// An instance, started.
    pub fn instance(&self, name: &str) -> Restartable {
        Restartable::started(self.setup(name).launch())
    }

    pub fn kill_services(&mut self) {
        self.services.iter_mut().for_each(Restartable::kill);
    }

    pub fn start_services(&mut self) {
        self.services.iter_mut().for_each(Restartable::start);
    }

    /// What an instance calls them by.
    pub fn leases(&self) -> HttpLeases {
        services::client(&self.addresses())
    }

    /// What became of every block.
    pub async fn account(&self) -> Account {
        self.leases().account().await.expect("an account")
    }

    /// As [`account`](Self::account), after leases that were due have expired.
    pub async fn account_after_expiry(&self) -> Account {
        let (leases, owner) = (self.leases(), Owner::random());
        // Leases end when blocks are asked for.
        let request = LeaseRequest { request_id: Uuid::new_v4(), owner, blocks: 1 };
        let lease = leases.lease(&request).await.expect("a lease");
        leases.give_back(lease.id, owner, Usage::default()).await.expect("given back");
        leases.account().await.expect("an account")
    }
}

/// A client of an instance, which may be down.
pub fn client(instance: &Restartable) -> Client {
    Client::new(instance.address(), API_KEY)
}

/// Asks for a link to `url`; an error says that it may or may not be there.
pub async fn try_create(client: &Client, url: &str) -> reqwest::Result<Answer> {
    try_send(client.api(Method::POST, "/links").json(&serde_json::json!({ "url": url }))).await
}

/// The account's sum, which must hold whatever happened.
#[track_caller]
pub fn assert_balanced(account: &Account) {
    let sum = account.used + account.lost + account.in_use + account.returned + account.expired;
    assert!(account.is_balanced() && sum == account.handed_out, "{account:?}");
}

pub fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}
