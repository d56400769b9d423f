//! A service's process: started on ports of its own, stopped or killed, and never left behind.

use std::{
    env,
    ffi::OsString,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use reqwest::Method;
use rustix::process::{Pid, Signal, kill_process};

use crate::{
    client::{Client, send},
    lines::Lines,
    logs, raw,
};

/// How long a start may take, from `exec` to ready.
pub const START_LIMIT: Duration = Duration::from_secs(30);

/// How long a stop may take: more than the drain's own deadline, so that missing it shows as an exit status.
const STOP_LIMIT: Duration = Duration::from_secs(30);

/// The rest of a stream, once its writer is gone.
const STREAM_LIMIT: Duration = Duration::from_secs(5);

/// How often a child is asked whether it has ended.
const POLL: Duration = Duration::from_millis(5);

/// What a process is started with.
#[derive(Debug, Clone)]
pub struct Launch {
    binary: PathBuf,
    directory: PathBuf,
    flags: Vec<(String, OsString)>,
    env: Vec<(String, OsString)>,
    allowed_logs: Vec<String>,
}

impl Launch {
    /// `binary`, started in `directory`: what it writes there by mistake goes with it. No `SEPTET_` variable of the test's own
    /// environment reaches it.
    pub fn new(binary: &Path, directory: &Path) -> Self {
        let (binary, directory) = (binary.to_owned(), directory.to_owned());
        Self { binary, directory, flags: Vec::new(), env: Vec::new(), allowed_logs: Vec::new() }
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

    /// With a variable in its environment.
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
    pub fn start(&self) -> Running {
        let mut running = self.start_unready();
        let deadline = Instant::now() + START_LIMIT;
        while !running.is_ready() {
            if Instant::now() > deadline || running.process.ended().is_some() {
                running.process.fail("did not get ready");
            }
            thread::sleep(POLL);
        }
        running
    }

    /// Starts it and waits until it says where it listens, ready or not.
    ///
    /// # Panics
    /// When that takes more than thirty seconds, or the process ends before.
    pub fn start_unready(&self) -> Running {
        let mut process = Process::spawn(self.command("serve"));
        let Some((listen, ops)) = process.addresses() else { process.fail("did not say where it listens") };
        Running { process, listen, ops, launch: self.clone() }
    }

    /// Runs one of its subcommands with these settings, to its end.
    ///
    /// # Panics
    /// When that takes more than thirty seconds.
    pub fn run_to_end(&self, subcommand: &str) -> Ended {
        self.run_to_end_within(subcommand, START_LIMIT)
    }

    /// As [`run_to_end`](Self::run_to_end), where that may take longer.
    ///
    /// # Panics
    /// When it takes more than `limit`.
    pub fn run_to_end_within(&self, subcommand: &str, limit: Duration) -> Ended {
        Process::spawn(self.command(subcommand)).wait(limit)
    }

    /// Runs one of its subcommands with these settings, and kills it after so long: whether it had ended by then.
    pub fn run_until(&self, subcommand: &str, after: Duration) -> bool {
        let mut process = Process::spawn(self.command(subcommand));
        thread::sleep(after);
        let ended = process.ended().is_some();
        process.kill();
        ended
    }

    fn command(&self, subcommand: &str) -> Command {
        let mut command = bare_command(&self.binary);
        command.arg(subcommand).envs(self.env.iter().cloned());
        for (flag, value) in &self.flags {
            command.arg(flag).arg(value);
        }
        command.current_dir(&self.directory);
        command
    }
}

/// Runs `binary` with `args` alone, to its end.
///
/// # Panics
/// When that takes more than thirty seconds.
pub fn run(binary: &Path, args: &[&str]) -> Ended {
    let mut command = bare_command(binary);
    command.args(args);
    Process::spawn(command).wait(START_LIMIT)
}

fn bare_command(binary: &Path) -> Command {
    let mut command = Command::new(binary);
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

/// A running service. Killed when dropped; a warning in its log that nobody allowed fails the test.
#[derive(Debug)]
pub struct Running {
    process: Process,
    /// Its own port.
    pub listen: SocketAddr,
    /// Probes and metrics.
    pub ops: SocketAddr,
    launch: Launch,
}

impl Running {
    /// What it was started with.
    pub fn launch(&self) -> &Launch {
        &self.launch
    }

    /// The process's id.
    pub fn pid(&self) -> u32 {
        self.process.child.id()
    }

    /// What it has printed so far.
    pub fn stdout(&self) -> Vec<String> {
        self.process.stdout.so_far()
    }

    /// Whether `/readyz` says so.
    pub fn is_ready(&self) -> bool {
        self.probe("/readyz") == Some(200)
    }

    /// What a path of the operations port answers; `None` when there is no answer.
    pub fn probe(&self, path: &str) -> Option<u16> {
        let request = format!("GET {path} HTTP/1.1\r\nHost: ops\r\nConnection: close\r\n\r\n");
        raw::exchange(self.ops, request.as_bytes()).ok().map(|answer| answer.status)
    }

    /// A metric, added up over its labels; zero while there is none of this name.
    ///
    /// # Panics
    /// When the metrics cannot be read.
    pub async fn metric(&self, name: &str) -> f64 {
        let answer = send(Client::new(self.ops, "no key").plain(Method::GET, "/metrics")).await;
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

    /// Freezes it: its connections stay, and nothing is answered.
    pub fn freeze(&self) {
        self.process.signal(Signal::STOP);
    }

    /// Lets it go on after [`freeze`](Self::freeze).
    pub fn thaw(&self) {
        self.process.signal(Signal::CONT);
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

    /// `kill -9`. It is gone when this returns.
    pub fn kill(mut self) {
        self.process.kill();
        self.check_log();
    }

    fn check_log(&self) {
        let log = self.process.stderr.to_end(STREAM_LIMIT);
        let unexpected = logs::unexpected(&log, &self.launch.allowed_logs);
        assert!(unexpected.is_empty(), "unexpected in its log:\n{}", unexpected.join("\n"));
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.process.ended().is_none() {
            self.process.kill();
            if !thread::panicking() {
                self.check_log();
            }
        }
        if thread::panicking() {
            let binary = self.launch.binary.file_name().unwrap_or_default();
            eprintln!("the log of {}:\n{}", binary.display(), self.process.stderr.so_far().join("\n"));
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
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
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
        panic!("the process {what} ({status:?}); it wrote:\n{}\n{}", stdout.join("\n"), stderr.join("\n"));
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
