//! No id is used twice, whatever happens to MySQL, to the token services and to the instances: real processes of all three,
//! killed at random, while MySQL is killed, stopped for longer than leases last, put back to an earlier copy, and run twice.
//!
//! The instances are `septet-drawer` processes: the shortener's own allocator, client and claims, without links, so that
//! millions of ids are drawn in a minute. Their claims are in a SQLite file that they share, or in a keyspace.

mod world;

use std::time::Duration;

use parking_lot::Mutex;
use septet_tests::{
    engines::{Engine, cassandra, mariadb::MariaDb},
    keyspace::Keyspace,
};
use world::{LEASE_TTL, World};

/// Fewer than these, and the test has not tried much.
const IDS_MIN: u64 = 10_000_000;

/// As [`IDS_MIN`], where a claim is a transaction of Cassandra, which takes its share of the machine as well.
const IDS_MIN_CASSANDRA: u64 = 500_000;

fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

/// Each test takes the whole machine.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

#[test]
#[ignore = "needs MariaDB: run by tests/run"]
fn no_id_is_used_twice_whatever_happens() {
    let _alone = ONE_AT_A_TIME.lock();
    no_id_is_used_twice(None, IDS_MIN);
}

/// Seen to fail when one block in eight was granted although another had it.
#[test]
#[ignore = "needs MariaDB and Cassandra: run by tests/run"]
fn no_id_is_used_twice_with_claims_in_cassandra() {
    let _alone = ONE_AT_A_TIME.lock();
    no_id_is_used_twice(Some(&Keyspace::new(cassandra::shared(), 1)), IDS_MIN_CASSANDRA);
}

fn no_id_is_used_twice(keyspace: Option<&Keyspace>, ids_min: u64) {
    let mut mysql = MariaDb::start();
    let mut world = World::start(&mysql.url(), keyspace);
    world.run("at first", seconds(6.0));

    mysql.kill();
    world.run("while MySQL is dead", seconds(2.0));
    mysql.start_again();
    world.run("after it came back", seconds(5.0));

    mysql.stop();
    let copy = mysql.copy();
    mysql.start_again();
    world.run("after a copy was made", seconds(8.0));

    mysql.stop();
    world.run("while MySQL is stopped for longer than leases last", LEASE_TTL + seconds(5.0));
    mysql.start_again();
    world.run("after that", seconds(4.0));

    let before = world.refusals();
    mysql.stop();
    mysql.restore(&copy);
    mysql.start_again();
    world.run("after MySQL was restored from the copy", seconds(10.0));
    let after_restore = world.refusals();
    assert!(after_restore > before, "old ranges must be handed out again, and their claims refused");

    mysql.stop();
    let copy = mysql.copy();
    mysql.start_again();
    let mut second = MariaDb::start_from(&copy);
    world.split(&second.url());
    world.run("while two databases hand out the same ranges", seconds(12.0));
    let after_split = world.refusals();
    assert!(after_split > after_restore, "both must hand out the same ranges, and claims be refused");
    second.kill();
    world.join();
    world.run("after one of them is gone", seconds(5.0));

    world.kill_and_stop_at_random();
    let end = world.stop();
    println!("{end:#?}");
    assert!(end.ids >= ids_min, "only {} ids", end.ids);
    assert!(end.kills > 10 && end.service_kills > 4, "{end:?}");
    assert!(end.refusals_counted > 0, "{end:?}");
}
