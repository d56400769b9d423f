//! A load client: one thread, many keep-alive connections, one request at a time on each.

use std::{
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use hdrhistogram::Histogram;
use rustix::{
    buffer::spare_capacity,
    event::{Timespec, epoll},
    fd::OwnedFd,
};
use serde::Serialize;

use crate::http1::{self, Answer};

/// Room for an answer on each connection.
const INPUT_BYTES: usize = 16 * 1024;

/// Without an answer on any connection for so long, the load is over with an error.
const STALLED: Duration = Duration::from_secs(15);

/// The longest time between request and answer that is told apart from longer ones.
const LONGEST_NS: u64 = 60_000_000_000;

/// What is sent, and what is made of the answers.
pub trait Traffic {
    /// Puts the next request into `out`. `false`: there is none left.
    fn next(&mut self, out: &mut Vec<u8>) -> bool;

    /// Looks at an answer.
    ///
    /// # Errors
    /// When it is not what was asked for; the load is then over.
    fn answered(&mut self, answer: &Answer<'_>) -> Result<()>;

    /// All requests are HEADs.
    fn is_head(&self) -> bool {
        false
    }
}

/// How fast requests are sent.
#[derive(Debug, Clone, Copy)]
pub enum Pace {
    /// The next one as soon as the one before is answered.
    Saturated,
    /// So many a second, evenly, whether the server keeps up or not: a request that has to wait for a connection is late
    /// from the moment it was due, so a server that stalls does not stop the clock. Keeps a core busy.
    PerSecond(f64),
}

/// How much load, and when it ends.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    pub connections: usize,
    pub pace: Pace,
    /// No request is due after this time; those that were are sent, and waited for.
    pub time: Duration,
}

/// What came of it.
#[derive(Debug, Clone)]
pub struct Outcome {
    pub answers: u64,
    /// From the first request to the last answer.
    pub elapsed: Duration,
    /// Nanoseconds from the request to the whole answer.
    pub latency_ns: Histogram<u64>,
}

/// Latencies, in microseconds.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Latency {
    pub p50_us: f64,
    pub p99_us: f64,
    pub p999_us: f64,
    pub max_us: f64,
}

impl Outcome {
    /// The latencies to report.
    pub fn latency(&self) -> Latency {
        let at = |quantile| self.latency_ns.value_at_quantile(quantile) as f64 / 1e3;
        Latency { p50_us: at(0.5), p99_us: at(0.99), p999_us: at(0.999), max_us: at(1.0) }
    }

    /// Answers in a second.
    pub fn per_second(&self) -> f64 {
        self.answers as f64 / self.elapsed.as_secs_f64()
    }
}

/// What latencies are counted in.
pub(super) fn histogram() -> Result<Histogram<u64>> {
    Ok(Histogram::new_with_bounds(1, LONGEST_NS, 3)?)
}

/// Sends `traffic` to `addr`.
///
/// # Errors
/// When the server closes a connection, answers what is not HTTP, stalls for fifteen seconds, or `traffic` says so.
pub fn run(addr: SocketAddr, load: Load, traffic: &mut impl Traffic) -> Result<Outcome> {
    ensure!(load.connections > 0, "a load needs connections");
    let mut client = LoadClient::connect(addr, load, traffic)?;
    client.run()?;
    Ok(Outcome { answers: client.answers, elapsed: client.last_answer - client.began, latency_ns: client.latency_ns })
}

struct LoadClient<'a, T> {
    traffic: &'a mut T,
    epoll: OwnedFd,
    connections: Vec<Connection>,
    idle: Vec<usize>,
    /// When the next request is due, and how long after it the one behind it is; saturated, at once.
    due: Instant,
    interval: Duration,
    began: Instant,
    deadline: Instant,
    exhausted: bool,
    output: Vec<u8>,
    answers: u64,
    last_answer: Instant,
    latency_ns: Histogram<u64>,
}

struct Connection {
    stream: TcpStream,
    input: Box<[u8]>,
    filled: usize,
    since: Instant,
}

impl<'a, T: Traffic> LoadClient<'a, T> {
    fn connect(addr: SocketAddr, load: Load, traffic: &'a mut T) -> Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let mut connections = Vec::with_capacity(load.connections);
        for n in 0..load.connections {
            let stream = TcpStream::connect(addr).context("connecting")?;
            stream.set_nodelay(true)?;
            stream.set_nonblocking(true)?;
            epoll::add(&epoll, &stream, epoll::EventData::new_u64(n as u64), epoll::EventFlags::IN)?;
            let input = vec![0; INPUT_BYTES].into_boxed_slice();
            connections.push(Connection { stream, input, filled: 0, since: Instant::now() });
        }
        let began = Instant::now();
        let interval = match load.pace {
            Pace::Saturated => Duration::ZERO,
            Pace::PerSecond(rate) => Duration::from_secs_f64(1.0 / rate),
        };
        Ok(Self {
            traffic,
            epoll,
            idle: (0..load.connections).rev().collect(),
            connections,
            due: began,
            interval,
            began,
            deadline: began + load.time,
            exhausted: false,
            output: Vec::new(),
            answers: 0,
            last_answer: began,
            latency_ns: histogram()?,
        })
    }

    fn run(&mut self) -> Result<()> {
        let mut events = Vec::with_capacity(self.connections.len());
        let mut now = self.began;
        loop {
            self.send_what_is_due(now)?;
            let in_flight = self.connections.len() - self.idle.len();
            if in_flight == 0 && !self.has_more(now) {
                return Ok(());
            }
            ensure!(now - self.last_answer < STALLED, "{in_flight} requests without an answer for {STALLED:?}");
            epoll::wait(&self.epoll, spare_capacity(&mut events), Some(&self.patience()))?;
            now = Instant::now();
            for event in events.drain(..) {
                self.receive(usize::try_from(event.data.u64())?)?;
            }
        }
    }

    /// How long to wait for answers: not at all while the clock may make the next request due.
    fn patience(&self) -> Timespec {
        Timespec { tv_sec: i64::from(self.interval.is_zero()), tv_nsec: 0 }
    }

    /// Saturated, the time that passes ends the load; paced, it is the time that requests are due.
    fn has_more(&self, now: Instant) -> bool {
        let next = if self.interval.is_zero() { now } else { self.due };
        !self.exhausted && next < self.deadline
    }

    fn send_what_is_due(&mut self, now: Instant) -> Result<()> {
        while self.due <= now && self.has_more(now) {
            let Some(n) = self.idle.pop() else { return Ok(()) };
            self.output.clear();
            if !self.traffic.next(&mut self.output) {
                self.exhausted = true;
                self.idle.push(n);
                return Ok(());
            }
            let since = if self.interval.is_zero() { Instant::now() } else { self.due };
            self.due += self.interval;
            let connection = &mut self.connections[n];
            connection.since = since;
            // A request fits into the socket's empty buffer: if it does not, this is no load to measure with.
            let sent = connection.stream.write(&self.output).context("sending")?;
            ensure!(sent == self.output.len(), "a request of {} bytes was sent in part", self.output.len());
        }
        Ok(())
    }

    fn receive(&mut self, n: usize) -> Result<()> {
        let connection = &mut self.connections[n];
        match connection.stream.read(&mut connection.input[connection.filled..]) {
            Ok(0) => bail!("the server closed a connection, or an answer is longer than {INPUT_BYTES} bytes"),
            Ok(read) => connection.filled += read,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error).context("receiving"),
        }
        let input = &connection.input[..connection.filled];
        let Some(answer) = http1::first_answer(input, self.traffic.is_head())? else { return Ok(()) };
        ensure!(answer.len == input.len(), "more was answered than asked");
        self.last_answer = Instant::now();
        let took_ns = u64::try_from((self.last_answer - connection.since).as_nanos())?;
        self.latency_ns.saturating_record(took_ns);
        self.answers += 1;
        self.traffic.answered(&answer)?;
        connection.filled = 0;
        self.idle.push(n);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{BufRead, BufReader},
        net::TcpListener,
        thread,
    };

    use super::*;

    /// Answers every request on `connections` connections, each after `delay`, until they are closed.
    fn server(connections: usize, answer: &'static str, delay: Duration) -> (SocketAddr, thread::JoinHandle<u64>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let handle = thread::spawn(move || {
            let serve = move |stream: TcpStream| {
                let mut requests = 0;
                let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
                while let Some(Ok(line)) = lines.next() {
                    if line.is_empty() {
                        requests += 1;
                        thread::sleep(delay);
                        (&stream).write_all(answer.as_bytes()).unwrap();
                    }
                }
                requests
            };
            let streams: Vec<_> = (0..connections).map(|_| listener.accept().unwrap().0).collect();
            let threads: Vec<_> = streams.into_iter().map(|stream| thread::spawn(move || serve(stream))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        (addr, handle)
    }

    struct Counted {
        left: u64,
        answered: u64,
    }

    impl Traffic for Counted {
        fn next(&mut self, out: &mut Vec<u8>) -> bool {
            out.extend_from_slice(b"GET /x HTTP/1.1\r\nHost: x\r\n\r\n");
            self.left = self.left.saturating_sub(1);
            self.left > 0
        }

        fn answered(&mut self, answer: &Answer<'_>) -> Result<()> {
            ensure!(answer.status == 302, "{}", answer.status);
            self.answered += 1;
            Ok(())
        }
    }

    const FOUND: &str = "HTTP/1.1 302 Found\r\nLocation: /y\r\nContent-Length: 2\r\n\r\nok";
    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn every_request_is_answered_and_counted_once() {
        let (addr, server) = server(4, FOUND, Duration::ZERO);
        let mut traffic = Counted { left: 1_001, answered: 0 };
        let load = Load { connections: 4, pace: Pace::Saturated, time: LONG };
        let outcome = run(addr, load, &mut traffic).unwrap();
        assert_eq!((outcome.answers, traffic.answered, outcome.latency_ns.len()), (1_000, 1_000, 1_000));
        assert_eq!(server.join().unwrap(), 1_000);
    }

    #[test]
    fn a_server_that_lags_is_charged_for_the_wait() {
        // Due every 2 ms, answered after 10 ms, one connection: the 20th is answered at 200 ms and was due at 38 ms.
        let (addr, server) = server(1, FOUND, Duration::from_millis(10));
        let mut traffic = Counted { left: 21, answered: 0 };
        let load = Load { connections: 1, pace: Pace::PerSecond(500.0), time: LONG };
        let outcome = run(addr, load, &mut traffic).unwrap();
        assert_eq!(outcome.answers, 20);
        assert!(outcome.latency().max_us > 150_000.0, "{:?}", outcome.latency());
        server.join().unwrap();
    }

    #[test]
    fn a_pace_is_kept() {
        let (addr, server) = server(2, FOUND, Duration::ZERO);
        let mut traffic = Counted { left: u64::MAX, answered: 0 };
        let load = Load { connections: 2, pace: Pace::PerSecond(200.0), time: Duration::from_millis(200) };
        let outcome = run(addr, load, &mut traffic).unwrap();
        assert_eq!(outcome.answers, 40);
        server.join().unwrap();
    }

    #[test]
    fn a_wrong_answer_ends_the_load() {
        let (addr, server) = server(1, "HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n", Duration::ZERO);
        let mut traffic = Counted { left: 10, answered: 0 };
        let load = Load { connections: 1, pace: Pace::Saturated, time: LONG };
        assert!(run(addr, load, &mut traffic).is_err());
        server.join().unwrap();
    }
}
