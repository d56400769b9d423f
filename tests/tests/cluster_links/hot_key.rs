//! Ten thousand want one link at once, and no instance has it.

use std::{
    collections::BTreeMap,
    io::Write,
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use rustix::process::{Resource, getrlimit, setrlimit};
use septet_tests::{raw, septet::DOMAIN};
use tokio::task::block_in_place;

use super::world::World;

/// At each of two instances.
const REQUESTS: usize = 10_000;

/// Connections of a test and an instance, and what they need besides.
const FILES: u64 = REQUESTS as u64 + 500;

/// How long the nodes do not answer: all requests have come by then.
const FROZEN_FOR: Duration = Duration::from_millis(400);

/// A process may have as many files open as it is allowed to.
fn allow_files() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).expect("up to the maximum, it is free to set");
    assert!(limit.maximum.is_none_or(|files| files >= FILES), "allow {FILES} open files: ulimit -n");
}

/// A connection that has served once: a new one that says nothing is closed while the others are opened.
fn connection(listen: SocketAddr) -> TcpStream {
    let mut stream = raw::connect(listen).expect("a connection");
    ask(&mut stream, "robots.txt");
    assert_eq!(raw::answer(&mut stream, false).expect("an answer").status, 200);
    stream
}

fn ask(stream: &mut TcpStream, key: &str) {
    let request = format!("GET /{key} HTTP/1.1\r\nHost: {DOMAIN}\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("the connection is open");
}

/// Seen to fail when every request read the store for itself: 1,024 reads, and 503 for whoever came later.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Cassandra and MariaDB: run by tests/run"]
async fn ten_thousand_who_want_one_link_cause_one_read() {
    allow_files();
    let mut world = World::start(3).await;
    let link = world.clients()[0].link_to("https://example.com/hot").await;
    for instance in 1..3 {
        let (listen, loads) = {
            let running = world.instances[instance].running();
            (running.listen, running.metric("septet_redirect_loads_total").await)
        };
        let statuses = block_in_place(|| {
            let mut streams: Vec<_> = (0..REQUESTS).map(|_| connection(listen)).collect();
            (0..3).for_each(|node| world.nodes().freeze(node));
            streams.iter_mut().for_each(|stream| ask(stream, &link.key));
            std::thread::sleep(FROZEN_FOR);
            (0..3).for_each(|node| world.nodes().restore(node));
            streams.iter_mut().map(|stream| raw::answer(stream, false).expect("an answer").status).collect::<Vec<_>>()
        });
        let mut counts = BTreeMap::new();
        statuses.into_iter().for_each(|status| *counts.entry(status).or_insert(0) += 1);
        let read = world.instances[instance].running().metric("septet_redirect_loads_total").await - loads;
        println!("answers by status: {counts:?}; reads: {read}");
        assert_eq!((counts, read), (BTreeMap::from([(302, REQUESTS)]), 1.0));
    }
    world.stop();
}
