//! A `septet` process: started on ports of its own, driven, stopped or killed, and never left behind.

use std::{
    env,
    ffi::OsString,
    net::SocketAddr,
    path::{self, Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use reqwest::Method;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::{
    binary,
    client::{Client, send},
    lines::Lines,
    logs, raw,
};

/// An API key for tests.
pub const API_KEY: &str = "a-key-for-tests-that-nobody-guesses";

/// The domain of the links that tests make; no name server knows it.
pub const DOMAIN: &str = "go.example";

/// How long a start may take, from `exec` to ready.
const START_LIMIT: Duration = Duration::from_secs(30);

/// How long a stop may take: more than the drain's own deadline, so that missing it shows as an exit status.
const STOP_LIMIT: Duration = Duration::from_secs(30);

/// The rest of a stream, once its writer is gone.
const STREAM_LIMIT: Duration = Duration::from_secs(5);

/// How often a child is asked whether it has ended.
const POLL: Duration = Duration::from_millis(5);

/// What a process is started with.
#[derive(Debug, Clone)]
pub struct Setup {
    data_dir: PathBuf,
    flags: Vec<(String, OsString)>,
    env: Vec<(String, OsString)>,
    allowed_logs: Vec<String>,
}

impl Setup {
    /// Any two free ports, [`API_KEY`], [`DOMAIN`], and `data_dir`, which outlives the process.
    ///
    /// # Panics
    /// When `data_dir` is empty.
    pub fn new(data_dir: &Path) -> Self {
        // The process starts in that directory: what it writes elsewhere by mistake goes with it.
        let data_dir = &path::absolute(data_dir).expect("a directory");
        Self { data_dir: data_dir.clone(), flags: Vec::new(), env: Vec::new(), allowed_logs: Vec::new() }
            .flag("--listen", "127.0.0.1:0")
            .flag("--ops-listen", "127.0.0.1:0")
            .flag("--public-url", format!("http://{DOMAIN}"))
            .flag("--data-dir", data_dir)
            .flag("--api-key", API_KEY)
    }

    /// With `flag` set to `value`, whatever it was before.
    pub fn flag(mut self, flag: &str, value: impl Into<OsString>) -> Self {
        self = self.without(flag);
        self.flags.push((flag.into(), value.into()));
        self
    }

    /// Without `flag`.
    pub fn without(mut self, flag: &str) -> Self {
        self.flags.retain(|(name, _)| name != flag);
        self
    }

    /// With a variable in its environment. No `SEPTET_` variable of the test's own environment reaches the process.
    pub fn env(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// A warning or error whose line holds `text` is expected.
    pub fn allow_log(mut self, text: &str) -> Self {
        self.allowed_logs.push(text.into());
        self
    }

    /// Starts it and waits until it is ready.
    ///
    /// # Panics
    /// When that takes more than thirty seconds, or the process ends before.
    pub fn start(&self) -> Septet {
        let mut process = Process::spawn(self.command("serve"));
        let Some((listen, ops)) = process.addresses() else { process.fail("did not say where it listens") };
        let deadline = Instant::now() + START_LIMIT;
        while !is_ready(ops) {
            if Instant::now() > deadline || process.ended().is_some() {
                process.fail("did not get ready");
            }
            thread::sleep(POLL);
        }
        Septet { process, listen, ops, setup: self.clone() }
    }

    /// Runs `septet subcommand` with these settings, to its end.
    ///
    /// # Panics
    /// When that takes more than thirty seconds.
    pub fn run_to_end(&self, subcommand: &str) -> Ended {
        Process::spawn(self.command(subcommand)).wait(START_LIMIT)
    }

    fn command(&self, subcommand: &str) -> Command {
        let mut command = bare_command();
        command.arg(subcommand).envs(self.env.iter().cloned());
        for (flag, value) in &self.flags {
            command.arg(flag).arg(value);
        }
        command.current_dir(&self.data_dir);
        command
    }
}

/// A `septet` on an empty directory, and a client for it. The directory goes last.
///
/// # Panics
/// When it does not start.
pub fn fresh() -> (TempDir, Septet, Client) {
    let dir = tempfile::tempdir().expect("a directory for temporary files");
    let septet = Setup::new(dir.path()).start();
    let client = septet.client();
    (dir, septet, client)
}

/// Runs `septet` with `args` alone, to its end.
///
/// # Panics
/// When that takes more than thirty seconds.
pub fn run(args: &[&str]) -> Ended {
    let mut command = bare_command();
    command.args(args);
    Process::spawn(command).wait(START_LIMIT)
}

fn bare_command() -> Command {
    let mut command = Command::new(binary::septet());
    for (name, _) in env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("SEPTET_")) {
        command.env_remove(name);
    }
    command
}

/// What a process that ended by itself has left.
#[derive(Debug)]
pub struct Ended {
    pub status: ExitStatus,
    pub stdout: Vec<String>,
    pub stderr: Vec<String>,
}

impl Ended {
    /// Everything it wrote to stderr, as one text.
    pub fn stderr_text(&self) -> String {
        self.stderr.join("\n")
    }
}

/// A running `septet` that is ready. Killed when dropped; a warning in its log that nobody allowed fails the test.
#[derive(Debug)]
pub struct Septet {
    process: Process,
    /// Redirects and the API.
    pub listen: SocketAddr,
    /// Probes and metrics.
    pub ops: SocketAddr,
    setup: Setup,
}

impl Septet {
    /// A client with [`API_KEY`].
    pub fn client(&self) -> Client {
        Client::new(self.listen, API_KEY)
    }

    /// The process's id.
    pub fn pid(&self) -> u32 {
        self.process.child.id()
    }

    /// What it has printed so far.
    pub fn stdout(&self) -> Vec<String> {
        self.process.stdout.so_far()
    }

    /// A metric, added up over its labels; zero while there is none of this name.
    ///
    /// # Panics
    /// When the metrics cannot be read.
    pub async fn metric(&self, name: &str) -> f64 {
        let answer = send(Client::new(self.ops, API_KEY).plain(Method::GET, "/metrics")).await;
        let values = answer.text.lines().filter_map(|line| {
            let (series, value) = line.rsplit_once(' ')?;
            let value = (series.split('{').next() == Some(name)).then_some(value)?;
            Some(value.parse::<f64>().expect("a metric is a number"))
        });
        values.sum()
    }

    /// Asks it to stop, as Kubernetes does.
    pub fn terminate(&self) {
        self.process.signal(Signal::TERM);
    }

    /// Waits for it to end by itself.
    ///
    /// # Panics
    /// When that takes more than thirty seconds, or its log has a warning that nobody allowed.
    pub fn wait(mut self) -> Ended {
        let ended = self.process.wait(STOP_LIMIT);
        self.check_log();
        ended
    }

    /// Stops it in order.
    ///
    /// # Panics
    /// When its exit status is not 0, or as [`wait`](Self::wait) does.
    pub fn stop(self) {
        self.terminate();
        let ended = self.wait();
        assert!(ended.status.success(), "SIGTERM ended it with {}:\n{}", ended.status, ended.stderr_text());
    }

    /// `kill -9`, and then the same again on the same directory.
    pub fn kill_and_restart(self) -> Self {
        let setup = self.setup.clone();
        self.kill();
        setup.start()
    }

    /// `kill -9`. It is gone when this returns.
    pub fn kill(mut self) {
        self.process.kill();
        self.check_log();
    }

    fn check_log(&self) {
        let log = self.process.stderr.to_end(STREAM_LIMIT);
        let unexpected = logs::unexpected(&log, &self.setup.allowed_logs);
        assert!(unexpected.is_empty(), "unexpected in its log:\n{}", unexpected.join("\n"));
    }
}

impl Drop for Septet {
    fn drop(&mut self) {
        if self.process.ended().is_none() {
            self.process.kill();
            if !thread::panicking() {
                self.check_log();
            }
        }
        if thread::panicking() {
            eprintln!("septet's log:\n{}", self.process.stderr.so_far().join("\n"));
        }
    }
}

/// A child and what it writes. Killed and reaped when dropped.
#[derive(Debug)]
struct Process {
    child: Child,
    stdout: Lines,
    stderr: Lines,
}

impl Process {
    fn spawn(mut command: Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("septet starts");
        let stdout = Lines::follow(child.stdout.take().expect("piped above"));
        let stderr = Lines::follow(child.stderr.take().expect("piped above"));
        Self { child, stdout, stderr }
    }

    /// Where it listens, as it prints it.
    fn addresses(&self) -> Option<(SocketAddr, SocketAddr)> {
        let find = |start: &'static str| self.stdout.wait_for(START_LIMIT, move |line| address_after(start, line));
        Some((find("listening on http://")?, find("ops on http://")?))
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.child.id().cast_signed()).expect("a child's id is not zero");
        kill_process(pid, signal).expect("an own child that is not reaped yet can be signalled");
    }

    fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("an own child can be waited for")
    }

    fn wait(&mut self, limit: Duration) -> Ended {
        let deadline = Instant::now() + limit;
        let status = loop {
            match self.ended() {
                Some(status) => break status,
                None if Instant::now() > deadline => self.fail("did not end in time"),
                None => thread::sleep(POLL),
            }
        };
        Ended { status, stdout: self.stdout.to_end(STREAM_LIMIT), stderr: self.stderr.to_end(STREAM_LIMIT) }
    }

    fn kill(&mut self) {
        // An error here means that it has ended by itself, which `wait` tells.
        self.child.kill().ok();
        self.child.wait().expect("an own child can be waited for");
    }

    fn fail(&mut self, what: &str) -> ! {
        let status = self.ended();
        self.kill();
        let (stdout, stderr) = (self.stdout.to_end(STREAM_LIMIT), self.stderr.to_end(STREAM_LIMIT));
        panic!("septet {what} ({status:?}); it wrote:\n{}\n{}", stdout.join("\n"), stderr.join("\n"));
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if !matches!(self.child.try_wait(), Ok(Some(_))) {
            self.child.kill().ok();
            self.child.wait().ok();
        }
    }
}

/// The address that follows `start` in `line`.
fn address_after(start: &str, line: &str) -> Option<SocketAddr> {
    let rest = line.split_once(start)?.1;
    rest.split(|c: char| c.is_whitespace() || c == '/' || c == ',').next()?.parse().ok()
}

fn is_ready(ops: SocketAddr) -> bool {
    raw::exchange(ops, b"GET /readyz HTTP/1.1\r\nHost: ops\r\nConnection: close\r\n\r\n")
        .is_ok_and(|answer| answer.status == 200)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_read_from_what_is_printed() {
        let line = "Septet is listening on http://127.0.0.1:4711/ now";
        assert_eq!(address_after("listening on http://", line), Some(([127, 0, 0, 1], 4711).into()));
        assert_eq!(address_after("ops on http://", line), None);
    }

    #[test]
    fn a_child_is_gone_when_its_test_panics() {
        let pid = std::sync::Mutex::new(None);
        let outcome = std::panic::catch_unwind(|| {
            let mut command = Command::new("sleep");
            command.arg("60");
            let process = Process::spawn(command);
            *pid.lock().unwrap() = Some(process.child.id());
            panic!("on purpose");
        });
        assert!(outcome.is_err());
        let pid = pid.lock().unwrap().unwrap();
        assert!(!Path::new(&format!("/proc/{pid}")).exists());
    }
}
