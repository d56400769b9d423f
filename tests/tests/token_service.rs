//! The token service as those who run it see it: its database is down, not prepared, frozen or full; it is frozen or stopped.

use std::{
    collections::HashSet,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use futures::future::join_all;
use parking_lot::Mutex;
use reqwest::Method;
use septet_tests::{
    by_hand,
    client::{Answer, Client, try_send},
    engines::{
        Engine,
        mariadb::{self, Database, MariaDb},
    },
    process::Launch,
    token_service as services, wait,
};
use tempfile::TempDir;
use token_service::{BLOCK_COUNT, Lease, LeaseId, LeaseRecords, LeaseRequest, Leases, Owner, RecordFilter};
use tokio::task::JoinSet;
use uuid::Uuid;

/// A database that came back is noticed within this time: longer than the longest pause between two tries.
const NOTICED_WITHIN: Duration = Duration::from_secs(10);

/// What a service says while its database is away.
const SERVING_WITHOUT: &str = "serving without it until it answers";
const WAITING: &str = "waiting for the database";
const NOT_CARRIED_OUT: &str = "a call could not be carried out";
const NO_ACCOUNT: &str = "the account of the blocks could not be read";

fn new_directory() -> TempDir {
    tempfile::tempdir().expect("a directory for temporary files")
}

/// A migrated database of a test's own, and what services on it are started with.
fn prepared() -> (Database, TempDir, Launch) {
    let (database, directory) = (mariadb::database(), new_directory());
    services::migrate(&database.url(), directory.path());
    let launch = services::launch(&database.url(), directory.path());
    (database, directory, launch)
}

fn allow_outage(launch: Launch) -> Launch {
    [SERVING_WITHOUT, WAITING, NOT_CARRIED_OUT, NO_ACCOUNT]
        .into_iter()
        .fold(launch, |launch, text| launch.allow_log(text))
}

/// Sends calls as they are, without repeating any.
#[derive(Clone)]
struct Caller(Client);

impl Caller {
    fn new(to: SocketAddr) -> Self {
        Self(Client::new(to, "no key"))
    }

    async fn lease(&self, owner: Owner, blocks: u32) -> Answer {
        self.try_lease(Uuid::new_v4(), owner, blocks).await.expect("an answer")
    }

    async fn try_lease(&self, request_id: Uuid, owner: Owner, blocks: u32) -> reqwest::Result<Answer> {
        let call = serde_json::json!({ "request_id": request_id, "owner": owner, "blocks": blocks });
        try_send(self.0.plain(Method::POST, "/v1/leases").bearer_auth(services::SECRET).json(&call)).await
    }

    async fn give_back(&self, lease: LeaseId, owner: Owner) -> Answer {
        let call = serde_json::json!({ "owner": owner, "usage": { "used": 0, "refused": 0 } });
        let request = self.0.plain(Method::POST, &format!("/v1/leases/{}/return", lease.0));
        try_send(request.bearer_auth(services::SECRET).json(&call)).await.expect("an answer")
    }
}

fn leased(answer: &Answer) -> Lease {
    serde_json::from_value(answer.ok()["lease"].clone()).expect("a lease")
}

/// The error's code and what it says of when to come back, after a look at its shape.
fn refused(answer: &Answer) -> (u16, String, Option<u32>) {
    let body: serde_json::Value = serde_json::from_str(&answer.text).expect("errors are JSON");
    let (code, message) = (body["error"]["code"].as_str(), body["error"]["message"].as_str());
    assert!(message.is_some_and(|message| !message.is_empty()), "{body}");
    let retry_after = answer.header("retry-after").map(|seconds| seconds.parse().expect("whole seconds"));
    (answer.status, code.expect("a code").to_owned(), retry_after)
}

/// Seen to fail when the database was waited for before anything was served.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs MariaDB: run by tests/run"]
async fn a_service_whose_database_is_down_waits_for_it() {
    let (mut mysql, directory) = (MariaDb::start(), new_directory());
    services::migrate(&mysql.url(), directory.path());
    mysql.stop();
    let service = allow_outage(services::launch(&mysql.url(), directory.path())).start_unready();
    assert_eq!((service.probe("/livez"), service.probe("/readyz")), (Some(200), Some(503)));
    let (caller, owner) = (Caller::new(service.listen), Owner::random());
    assert_eq!(refused(&caller.lease(owner, 1).await), (503, "unavailable".into(), Some(1)));

    mysql.start_again();
    wait::until("readiness", NOTICED_WITHIN, async || service.is_ready().then_some(())).await;
    leased(&caller.lease(owner, 1).await);

    mysql.kill();
    assert_eq!(refused(&caller.lease(owner, 1).await), (503, "unavailable".into(), Some(1)));
    assert_eq!(service.probe("/livez"), Some(200));
    mysql.start_again();
    let again = wait::until("a lease", NOTICED_WITHIN, async || {
        let answer = caller.lease(owner, 1).await;
        (answer.status == 200).then_some(answer)
    });
    leased(&again.await);
    service.stop();
}

/// Seen to fail when missing tables were taken for a database that is down.
#[test]
#[ignore = "needs MariaDB: run by tests/run"]
fn a_database_that_is_not_prepared_ends_it_with_a_sentence() {
    let (mut mysql, directory) = (MariaDb::start(), new_directory());
    let launch = allow_outage(services::launch(&mysql.url(), directory.path()));
    let ended = launch.run_to_end("serve");
    let said = ended.stderr_text();
    assert!(!ended.status.success() && said.contains("run `septet-token-service migrate` first"), "{said}");

    // Also when that shows later.
    mysql.stop();
    let service = launch.allow_log("run `septet-token-service migrate` first").start_unready();
    mysql.start_again();
    let ended = service.wait();
    let said = ended.stderr_text();
    assert!(!ended.status.success() && said.contains("run `septet-token-service migrate` first"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs MariaDB: run by tests/run"]
async fn migrating_twice_and_by_two_at_once_changes_nothing() {
    let (database, directory) = (mariadb::database(), new_directory());
    let launch = services::launch(&database.url(), directory.path());
    let at_once = join_all((0..2).map(|_| {
        let launch = launch.clone();
        tokio::task::spawn_blocking(move || launch.run_to_end("migrate"))
    }));
    for migrated in at_once.await {
        let migrated = migrated.unwrap();
        assert!(migrated.status.success(), "{}", migrated.stderr_text());
    }
    let service = launch.start();
    let client = services::client(&[service.listen]);
    let id_space = client.id_space().await.unwrap();
    client.lease(&LeaseRequest { request_id: Uuid::new_v4(), owner: Owner::random(), blocks: 1 }).await.unwrap();
    // While it serves.
    services::migrate(&database.url(), directory.path());
    assert_eq!((client.id_space().await.unwrap(), client.account().await.unwrap().handed_out), (id_space, 1));
    service.stop();
}

/// A frozen database is waited for so long; a call is answered not much later.
const DATABASE_TIMEOUT: Duration = Duration::from_millis(1500);
const ANSWERED_WITHIN: Duration = Duration::from_millis(4000);

/// Seen to fail when the database was waited for ten times as long.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs MariaDB: run by tests/run"]
async fn calls_are_answered_though_the_database_is_frozen() {
    let (mysql, directory) = (MariaDb::start(), new_directory());
    services::migrate(&mysql.url(), directory.path());
    let launch = allow_outage(services::launch(&mysql.url(), directory.path()));
    let service = launch.flag("--database-timeout-ms", DATABASE_TIMEOUT.as_millis().to_string()).start();
    let caller = Caller::new(service.listen);
    leased(&caller.lease(Owner::random(), 1).await);

    mysql.freeze();
    for _ in 0..2 {
        let calls = (0..40).map(async |_| {
            let asked = Instant::now();
            assert_eq!(refused(&caller.lease(Owner::random(), 1).await), (503, "unavailable".into(), Some(1)));
            asked.elapsed()
        });
        let longest = join_all(calls).await.into_iter().max().unwrap();
        assert!(longest < ANSWERED_WITHIN, "a call was answered after {longest:?}");
    }
    assert_eq!(service.probe("/livez"), Some(200));

    mysql.thaw();
    let again = wait::until("a lease", NOTICED_WITHIN, async || {
        let answer = caller.lease(Owner::random(), 1).await;
        (answer.status == 200).then_some(answer)
    });
    leased(&again.await);
    let account = services::client(&[service.listen]).account().await.unwrap();
    assert!(account.is_balanced(), "{account:?}");
    service.stop();
}

/// The most that a frozen service holds up the others: until the database ends its silent connection, 20 seconds, and what their
/// own repetitions take.
const HELD_UP_MAX: Duration = Duration::from_secs(26);

/// A service that goes without a lease for so long is held up.
const HELD_UP_MIN: Duration = Duration::from_millis(2500);

/// Seen to fail when the database kept silent connections for longer.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs MariaDB: run by tests/run"]
async fn a_frozen_service_holds_up_the_others_for_half_a_minute_at_most() {
    let (_database, _directory, launch) = prepared();
    let launch = allow_outage(launch);
    let (frozen, other) = (launch.start(), launch.start());
    let caller = Caller::new(other.listen);
    let load = Load::start(frozen.listen, 16);
    let deadline = Instant::now() + Duration::from_secs(60);
    let held_up = loop {
        tokio::time::sleep(Duration::from_millis(rand::random_range(50..150))).await;
        frozen.freeze();
        let asked = Instant::now();
        while caller.lease(Owner::random(), 1).await.status != 200 {
            assert!(asked.elapsed() < HELD_UP_MAX, "still held up");
        }
        let held_up = asked.elapsed();
        if held_up > HELD_UP_MIN {
            break held_up;
        }
        assert!(Instant::now() < deadline, "it was never frozen within a transaction");
        frozen.thaw();
    };
    println!("held up for {held_up:?}");
    assert!(held_up < HELD_UP_MAX, "{held_up:?}");
    leased(&caller.lease(Owner::random(), 1).await);

    frozen.thaw();
    let caller = Caller::new(frozen.listen);
    let again = wait::until("a lease", NOTICED_WITHIN, async || {
        let answer = caller.lease(Owner::random(), 1).await;
        (answer.status == 200).then_some(answer)
    });
    leased(&again.await);
    load.stop().await;
    let account = services::client(&[frozen.listen]).account().await.unwrap();
    assert!(account.is_balanced(), "{account:?}");
    other.stop();
    frozen.stop();
}

/// Seen to fail when the answer did not say when to come back.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs MariaDB: run by tests/run"]
async fn the_end_of_the_id_space_is_answered_and_blocks_that_come_back_are_leased() {
    let (database, _directory, launch) = prepared();
    let nearly_all = BLOCK_COUNT - 3;
    // As if all of them had been leased and used up.
    let statement =
        format!("UPDATE id_space SET high_water_block = {nearly_all}, handed_out = {nearly_all}, used = {nearly_all}");
    by_hand::mysql(&database.url(), &statement).await;
    let service = launch.start();
    let (caller, owner) = (Caller::new(service.listen), Owner::random());
    let last = leased(&caller.lease(owner, 5).await);
    assert_eq!((last.first.0, last.blocks), (nearly_all, 3));
    for _ in 0..2 {
        let answer = caller.lease(Owner::random(), 1).await;
        assert_eq!(refused(&answer), (503, "exhausted".into(), Some(60)));
    }
    let client = services::client(&[service.listen]);
    let account = client.account().await.unwrap();
    assert_eq!((account.left(), account.is_balanced()), (0, true), "{account:?}");

    assert_eq!(caller.give_back(last.id, owner).await.status, 204);
    let again = leased(&caller.lease(Owner::random(), 2).await);
    assert_eq!((again.first, again.blocks), (last.first, 2));
    let rest = leased(&caller.lease(Owner::random(), 2).await);
    assert_eq!((rest.first.0, rest.blocks), (BLOCK_COUNT - 1, 1));
    let account = client.account().await.unwrap();
    assert_eq!((account.left(), account.in_use, account.is_balanced()), (0, 3, true), "{account:?}");
    service.stop();
}

/// Seen to fail when the setting was left aside.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs MariaDB: run by tests/run"]
async fn an_owner_that_leases_without_using_is_refused() {
    let (_database, _directory, launch) = prepared();
    let service = launch.flag("--unused-blocks-max", "300").start();
    let (caller, greedy) = (Caller::new(service.listen), Owner::random());
    let first = leased(&caller.lease(greedy, 256).await);
    assert_eq!(leased(&caller.lease(greedy, 256).await).blocks, 44);
    let answer = caller.lease(greedy, 1).await;
    assert_eq!(refused(&answer), (429, "too_many_unused".into(), Some(10)));
    let body: serde_json::Value = serde_json::from_str(&answer.text).unwrap();
    assert_eq!((&body["error"]["unused"], &body["error"]["unused_max"]), (&300.into(), &300.into()));
    leased(&caller.lease(Owner::random(), 256).await);
    assert_eq!(caller.give_back(first.id, greedy).await.status, 204);
    leased(&caller.lease(greedy, 1).await);
    service.stop();
}

/// Seen to fail when connections were closed before their calls were answered.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs MariaDB: run by tests/run"]
async fn a_stop_under_load_answers_what_it_carries_out() {
    let (database, directory, launch) = prepared();
    let mut earlier = HashSet::new();
    for _ in 0..3 {
        let service = launch.start();
        let load = Load::start(service.listen, 32);
        wait::until("leases", NOTICED_WITHIN, async || (load.leases() > 200).then_some(())).await;
        let told = Instant::now();
        service.stop();
        assert!(told.elapsed() < Duration::from_secs(5), "{:?}", told.elapsed());
        let answered = load.stop().await;

        let reader = services::launch(&database.url(), directory.path()).start();
        let client = services::client(&[reader.listen]);
        let on_record = record(&client).await;
        let lost: Vec<_> = answered.difference(&on_record).collect();
        assert!(lost.is_empty(), "answered and not on record: {lost:?}");
        earlier.extend(answered);
        let unanswered: Vec<_> = on_record.difference(&earlier).collect();
        assert!(unanswered.is_empty(), "carried out and not answered: {unanswered:?}");
        reader.stop();
    }
}

/// Every request that has a lease.
async fn record(leases: &impl LeaseRecords) -> HashSet<Uuid> {
    let (mut requests, mut after) = (HashSet::new(), None);
    loop {
        let page = leases.records(RecordFilter::default(), after, 1000).await.expect("the record");
        let Some(last) = page.last() else { return requests };
        after = Some(last.lease.id);
        requests.extend(page.iter().map(|row| row.request_id));
    }
}

/// Callers that ask for one lease after the other, until they are stopped or nobody listens any more.
struct Load {
    told_to_stop: Arc<AtomicBool>,
    answered: Arc<Mutex<HashSet<Uuid>>>,
    callers: JoinSet<()>,
}

impl Load {
    fn start(to: SocketAddr, callers: usize) -> Self {
        let (told_to_stop, answered) = (Arc::<AtomicBool>::default(), Arc::<Mutex<HashSet<Uuid>>>::default());
        let callers = (0..callers).map(|_| {
            let (told_to_stop, answered, caller) = (told_to_stop.clone(), answered.clone(), Caller::new(to));
            async move {
                while !told_to_stop.load(Ordering::Relaxed) {
                    let request_id = Uuid::new_v4();
                    match caller.try_lease(request_id, Owner::random(), 1).await {
                        Ok(answer) if answer.status == 200 => drop(answered.lock().insert(request_id)),
                        Ok(answer) => assert_eq!(refused(&answer), (503, "unavailable".into(), Some(1))),
                        // No connection, or none any more.
                        Err(error) => assert!(!error.is_body() && !error.is_decode(), "half an answer: {error:?}"),
                    }
                }
            }
        });
        let callers = callers.collect();
        Self { told_to_stop, answered, callers }
    }

    fn leases(&self) -> usize {
        self.answered.lock().len()
    }

    /// The requests that were answered with a lease.
    async fn stop(mut self) -> HashSet<Uuid> {
        self.told_to_stop.store(true, Ordering::Relaxed);
        while let Some(ended) = self.callers.join_next().await {
            ended.expect("every answer is whole");
        }
        std::mem::take(&mut *self.answered.lock())
    }
}
