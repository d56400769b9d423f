//! The engines do what the tests of Septet need of them: what was answered is kept, ports stay, and nothing is left behind.

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    net::{SocketAddr, TcpStream},
    os::unix::process::CommandExt,
    process::{Child, ChildStdout, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process_group};
use septet_tests::engines::{
    Engine, cassandra, cassandra::Cassandra, kafka, kafka::Kafka, mariadb, mariadb::MariaDb, unique_name,
};
use sqlx::{AssertSqlSafe, Connection, MySqlConnection, Row};
use tempfile::TempDir;

/// How long the directory of an engine may outlive its owner.
const GONE_WITHIN: Duration = Duration::from_secs(15);

/// Runs a statement, and answers the numbers in the first column of what comes back.
async fn sql(url: &str, statement: &str) -> sqlx::Result<Vec<i64>> {
    let mut connection = MySqlConnection::connect(url).await?;
    let rows = sqlx::raw_sql(AssertSqlSafe(statement)).fetch_all(&mut connection).await?;
    connection.close().await?;
    rows.iter().map(|row| row.try_get(0)).collect()
}

const CREATE: &str = "CREATE TABLE numbers (number BIGINT PRIMARY KEY)";
const SELECT: &str = "SELECT number FROM numbers ORDER BY number";

/// Seen to fail when a restart began with an empty directory.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs MariaDB: run by tests/run"]
async fn mariadb_keeps_what_it_answered_through_kill_and_stop() {
    let mut mariadb = MariaDb::start();
    let url = mariadb.url();
    sql(&url, CREATE).await.unwrap();
    sql(&url, "INSERT INTO numbers VALUES (1)").await.unwrap();
    mariadb.kill();
    assert!(sql(&url, SELECT).await.is_err(), "it was killed");
    mariadb.start_again();
    assert_eq!(sql(&url, SELECT).await.unwrap(), [1]);
    sql(&url, "INSERT INTO numbers VALUES (2)").await.unwrap();
    mariadb.stop();
    mariadb.start_again();
    assert_eq!(sql(&url, SELECT).await.unwrap(), [1, 2]);
}

/// Seen to fail when a restore did nothing, and when both servers kept temporary tables in one directory, as they do by
/// default: each removes those of the other now and then.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs MariaDB: run by tests/run"]
async fn mariadb_goes_back_to_a_copy_and_runs_beside_one() {
    let mut first = MariaDb::start();
    sql(&first.url(), CREATE).await.unwrap();
    sql(&first.url(), "INSERT INTO numbers VALUES (1)").await.unwrap();
    first.stop();
    let copy = first.copy();
    first.start_again();
    sql(&first.url(), "INSERT INTO numbers VALUES (2)").await.unwrap();
    first.kill();
    first.restore(&copy);
    first.start_again();
    assert_eq!(sql(&first.url(), SELECT).await.unwrap(), [1]);

    let second = MariaDb::start_from(&copy);
    sql(&first.url(), "INSERT INTO numbers VALUES (3)").await.unwrap();
    sql(&second.url(), "INSERT INTO numbers VALUES (4)").await.unwrap();
    assert_eq!(sql(&first.url(), SELECT).await.unwrap(), [1, 3]);
    assert_eq!(sql(&second.url(), SELECT).await.unwrap(), [1, 4]);
    for mariadb in [&first, &second] {
        let is_own = format!("SELECT CAST(@@tmpdir = '{}' AS SIGNED)", mariadb.server().dir().display());
        assert_eq!(sql(&mariadb.url(), &is_own).await.unwrap(), [1]);
    }
}

/// Seen to fail when freezing did nothing.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs MariaDB: run by tests/run"]
async fn a_frozen_mariadb_answers_once_it_is_thawed() {
    let mariadb = MariaDb::start();
    let url = mariadb.url();
    mariadb.freeze();
    let asked = tokio::spawn(async move { sql(&url, "SELECT 1").await });
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!asked.is_finished());
    mariadb.thaw();
    assert_eq!(asked.await.unwrap().unwrap(), [1]);
}

/// Seen to fail when every test had the same database, and when none was dropped.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs MariaDB: run by tests/run"]
async fn databases_of_the_shared_mariadb_do_not_see_each_other() {
    let (one, other) = (mariadb::database(), mariadb::database());
    for database in [&one, &other] {
        sql(&database.url(), CREATE).await.unwrap();
    }
    sql(&one.url(), "INSERT INTO numbers VALUES (1)").await.unwrap();
    assert_eq!(sql(&other.url(), SELECT).await.unwrap(), Vec::<i64>::new());
    let url = one.url();
    drop(one);
    assert!(sql(&url, SELECT).await.is_err(), "it is dropped with its owner");
}

/// `CreateTopics` (19), version 2, with one partition and one replica; then whether `Metadata` (3), version 1, names it.
fn create_topic(kafka: SocketAddr, topic: &str) {
    let body = [
        &1_i32.to_be_bytes()[..],
        &string(topic),
        &1_i32.to_be_bytes(),
        &1_i16.to_be_bytes(),
        // No assignments, no settings, ten seconds, and not merely checked.
        &[0; 8],
        &10_000_i32.to_be_bytes(),
        &[0],
    ];
    let answer = kafka::request(kafka, 19, 2, &body.concat()).expect("an answer");
    let no_throttle_and_one_topic = [&0_i32.to_be_bytes()[..], &1_i32.to_be_bytes(), &string(topic), &[0, 0]].concat();
    assert!(answer.starts_with(&no_throttle_and_one_topic), "{answer:?}");
}

fn has_topic(kafka: SocketAddr, topic: &str) -> bool {
    let all_topics = (-1_i32).to_be_bytes();
    let answer = kafka::request(kafka, 3, 1, &all_topics).expect("an answer");
    answer.windows(topic.len()).any(|window| window == topic.as_bytes())
}

fn string(text: &str) -> Vec<u8> {
    [&i16::try_from(text.len()).unwrap().to_be_bytes()[..], text.as_bytes()].concat()
}

/// Seen to fail when a restart began with an empty directory.
#[test]
#[ignore = "needs Kafka: run by tests/run"]
fn kafka_keeps_its_topics_through_a_kill() {
    let mut kafka = Kafka::start();
    let (address, topic) = (kafka.bootstrap().parse().unwrap(), unique_name("clicks"));
    create_topic(address, &topic);
    kafka.kill();
    assert!(TcpStream::connect(address).is_err(), "it was killed");
    kafka.start_again();
    let deadline = Instant::now() + GONE_WITHIN;
    while !has_topic(address, &topic) {
        assert!(Instant::now() < deadline, "{topic} is lost");
        thread::sleep(Duration::from_millis(50));
    }
}

/// Seen to fail when the shared one was let go of after its start.
#[test]
#[ignore = "needs Kafka: run by tests/run"]
fn the_shared_kafka_makes_topics() {
    let (address, topic) = (kafka::shared().parse().unwrap(), unique_name("clicks"));
    assert!(!has_topic(address, &topic));
    create_topic(address, &topic);
    assert!(has_topic(address, &topic));
}

/// That it is ready means that it speaks CQL.
#[test]
#[ignore = "needs Cassandra: run by tests/run"]
fn cassandra_starts_again_after_a_kill() {
    let mut cassandra = Cassandra::start();
    let address: SocketAddr = cassandra.contact_point().parse().unwrap();
    cassandra.kill();
    assert!(TcpStream::connect(address).is_err(), "it was killed");
    cassandra.start_again();
    assert_eq!(cassandra.contact_point(), address.to_string());
    assert!(cassandra::speaks_cql(address));
}

#[test]
#[ignore = "needs Cassandra: run by tests/run"]
fn the_shared_cassandra_speaks_cql() {
    assert!(cassandra::speaks_cql(cassandra::shared().parse().unwrap()));
}

/// A `septet-engines` that holds a MariaDB in a directory of its own. Killed when dropped.
struct Owner {
    child: Child,
    mariadb: SocketAddr,
    dir: TempDir,
    _stdout: BufReader<ChildStdout>,
}

impl Owner {
    /// One that is ready. The other engines are named, and so are not started.
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_septet-engines"));
        command.env("TMPDIR", dir.path()).env_remove(mariadb::VARIABLE);
        command.env(kafka::VARIABLE, "-").env(cassandra::VARIABLE, "-");
        let mut child = command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut lines = stdout.by_ref().lines().map(Result::unwrap);
        let url = lines.next().expect("a line for MariaDB");
        assert_eq!(lines.next().as_deref(), Some("ready"));
        let mariadb = url.rsplit('@').next().unwrap().parse().unwrap();
        assert!(url.starts_with(mariadb::VARIABLE) && TcpStream::connect(mariadb).is_ok());
        Self { child, mariadb, dir, _stdout: stdout }
    }

    /// Whatever the owner made is gone, or is about to be.
    fn assert_all_gone(&self) {
        let deadline = Instant::now() + GONE_WITHIN;
        let left = || fs::read_dir(self.dir.path()).unwrap().count();
        while left() > 0 || TcpStream::connect(self.mariadb).is_ok() {
            assert!(Instant::now() < deadline, "{} files are left, or {} is open", left(), self.mariadb);
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// To the whole process group, as a terminal sends an interrupt. Seen to fail when the watcher did not kill, and when it
/// was in its owner's process group.
#[test]
#[ignore = "needs MariaDB: run by tests/run"]
fn nothing_is_left_however_the_owner_ends() {
    for signal in [Signal::KILL, Signal::INT, Signal::TERM] {
        let mut owner = Owner::start();
        let group = Pid::from_raw(owner.child.id().cast_signed()).unwrap();
        kill_process_group(group, signal).unwrap();
        owner.child.wait().unwrap();
        owner.assert_all_gone();
    }
}

/// Seen to fail when the end of its standard input was ignored.
#[test]
#[ignore = "needs MariaDB: run by tests/run"]
fn the_engines_of_a_run_end_with_it() {
    let mut owner = Owner::start();
    drop(owner.child.stdin.take());
    owner.assert_all_gone();
    assert!(owner.child.wait().unwrap().success());
}
