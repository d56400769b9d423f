//! Tests of the click log.

mod files;
mod kill;
mod limit;
mod load;
mod records;
mod segments;
mod torn;

use std::{
    net::{IpAddr, Ipv4Addr},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

use super::*;
use crate::click::LogId;

/// What must happen soon, happens within this.
const PATIENCE: Duration = Duration::from_secs(60);

/// A click of `link` with a user agent of so many bytes.
fn click(link: u64, agent: &[u8]) -> RawClick<'_> {
    RawClick {
        at_ms: 1_700_000_000_000 + link as i64,
        link,
        peer: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7)),
        user_agent: agent,
        referer: b"https://example.com/",
        forwarded_for: b"",
        country: b"DE",
    }
}

/// Small segments, and room for many.
fn small() -> Options {
    Options { segment_bytes: 4096, disk_max_bytes: 64 << 20, flush_interval: Duration::from_secs(3600) }
}

/// Opens the logs with metrics of their own.
fn open(folder: &Path, options: Options) -> (ClickLogs, Counts) {
    let recorder = PrometheusBuilder::new().build_recorder();
    let counts = Counts(recorder.handle());
    let logs = ::metrics::with_local_recorder(&recorder, || ClickLogs::open(folder, options)).expect("the logs open");
    (logs, counts)
}

/// What was counted.
struct Counts(PrometheusHandle);

impl Counts {
    fn get(&self, name: &str) -> u64 {
        let text = self.0.render();
        let is_it = |line: &str| {
            let rest = line.strip_prefix("septet_").and_then(|line| line.strip_prefix(name));
            rest.is_some_and(|rest| rest.starts_with([' ', '{']))
        };
        let line = text.lines().find(|line| is_it(line));
        line.and_then(|line| line.rsplit(' ').next()).map_or(0, |value| value.parse::<f64>().expect("a number") as u64)
    }
}

/// A click that was read: its log, the offset at which it ends, its link.
type Read = (LogId, u64, u64);

/// Everything there is to read now.
fn read_all(reader: &mut ClickReader) -> Vec<Read> {
    let mut read = Vec::new();
    while reader.read(1000, |log, offset, click| read.push((log, offset, click.link))) > 0 {}
    read
}

/// Everything that a new process finds in the folder.
fn reread(folder: &Path) -> (Vec<Read>, Counts) {
    let (logs, counts) = open(folder, small());
    let read = read_all(&mut logs.reader().expect("the only reader"));
    (read, counts)
}

/// Writes clicks of links 0.. to one log, each with an agent of its own length, and ends the process that wrote them.
fn write(folder: &Path, agents: &[usize]) -> Vec<Read> {
    let (logs, _) = open(folder, small());
    let mut writer = logs.writer().expect("there is room");
    let text = [b'a'; 600];
    let append = |(link, agent): (usize, &usize)| {
        let offset = writer.append(&click(link as u64, &text[..*agent])).expect("there is room");
        (writer.log(), offset, link as u64)
    };
    let written = agents.iter().enumerate().map(append).collect();
    // The same files each time: the segment that is written, and one ahead.
    let log = logs.shared().logs_from(0).swap_remove(0);
    eventually("a segment is ahead", || log.segment_from(log.tail()).is_some());
    written
}

/// The files of a kind in the folder, by name.
fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("the folder is there");
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|other| other == extension));
    paths.sort();
    paths
}

fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::yield_now();
    }
}
