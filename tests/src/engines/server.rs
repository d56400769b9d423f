//! An engine's process: started until it is ready, killed, stopped, frozen, and started again on what it kept.

use std::{
    fs::{self, File, OpenOptions},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, ExitStatus},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

use super::{DataCopy, LIMIT, watched_dir::WatchedDir};

/// How often a child is asked whether it is ready, or has ended.
const POLL: Duration = Duration::from_millis(20);

/// So many lines of the log are shown when something fails.
const LOG_LINES: usize = 40;

/// Less free space than this is worth a word when something fails.
const LITTLE_SPACE_MIB: u64 = 512;

/// An engine's directory, which holds `data`, `log` and what it is configured by, and its process while it runs.
#[derive(Debug)]
pub struct Server {
    name: &'static str,
    address: SocketAddr,
    is_ready: fn(SocketAddr) -> bool,
    command: Vec<String>,
    child: Option<Child>,
    dir: WatchedDir,
}

impl Server {
    /// One that has not been started yet, in `dir`. It is ready when `is_ready` says so of `address`.
    pub fn new(name: &'static str, dir: WatchedDir, address: SocketAddr, is_ready: fn(SocketAddr) -> bool) -> Self {
        Self { name, address, is_ready, command: Vec::new(), child: None, dir }
    }

    /// What people call it.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Where it answers clients.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Everything that it keeps.
    pub fn data(&self) -> PathBuf {
        self.dir().join("data")
    }

    /// Runs a step that comes before the first start, to its end.
    ///
    /// # Errors
    /// When it fails or takes too long: with what it wrote.
    pub fn prepare(&mut self, command: &[String]) -> Result<()> {
        self.spawn(command)?;
        let status = self.wait()?;
        ensure!(status.success(), self.report(&format!("could not be prepared: {} {status}", command[0])));
        Ok(())
    }

    /// Starts it for the first time, by `command`, and waits until it is ready.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn start_by(&mut self, command: Vec<String>) -> Result<()> {
        self.command = command;
        self.start()
    }

    /// Starts it by the same command as before, and waits until it is ready.
    ///
    /// # Errors
    /// When it ends before it is ready, or is not ready in time: with the end of its log.
    pub fn start(&mut self) -> Result<()> {
        self.assert_down();
        self.spawn(&self.command.clone())?;
        let deadline = Instant::now() + LIMIT;
        while !(self.is_ready)(self.address) {
            if self.has_ended()? {
                let status = self.reap()?;
                bail!(self.report(&format!("ended before it was ready: {status}")));
            }
            if Instant::now() > deadline {
                self.kill();
                bail!(self.report(&format!("was not ready within {LIMIT:?}")));
            }
            thread::sleep(POLL);
        }
        Ok(())
    }

    /// `kill -9`. It is gone when this returns.
    pub fn kill(&mut self) {
        if self.child.is_some() {
            self.signal(Signal::KILL);
            self.reap().expect("a child that is killed ends");
        }
    }

    /// Stops it in order.
    ///
    /// # Errors
    /// When that takes too long: it is killed then.
    pub fn stop(&mut self) -> Result<()> {
        if self.child.is_some() {
            self.signal(Signal::TERM);
            self.wait()?;
        }
        Ok(())
    }

    pub fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    pub fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    /// A copy of what it keeps.
    ///
    /// # Errors
    /// When it cannot be written.
    ///
    /// # Panics
    /// When it runs.
    pub fn copy(&self) -> Result<DataCopy> {
        self.assert_down();
        DataCopy::of(&self.data())
    }

    /// Makes what it keeps that of `copy`.
    ///
    /// # Errors
    /// When it cannot be written.
    ///
    /// # Panics
    /// When it runs.
    pub fn restore(&mut self, copy: &DataCopy) -> Result<()> {
        self.assert_down();
        copy.put_back(&self.data())
    }

    fn assert_down(&self) {
        assert!(self.child.is_none(), "{} runs: kill or stop it first", self.name);
    }

    fn spawn(&mut self, command: &[String]) -> Result<()> {
        let log = OpenOptions::new().create(true).append(true).open(self.log())?;
        let mut process = self.dir.command(command)?;
        process.stdout(log.try_clone()?).stderr(log);
        self.child = Some(process.spawn().with_context(|| format!("starting {}", self.name))?);
        Ok(())
    }

    fn wait(&mut self) -> Result<ExitStatus> {
        let deadline = Instant::now() + LIMIT;
        while !self.has_ended()? {
            if Instant::now() > deadline {
                self.kill();
                bail!(self.report(&format!("did not end within {LIMIT:?}")));
            }
            thread::sleep(POLL);
        }
        self.reap()
    }

    /// Whether it is a zombie by now: its id is its own until it is reaped.
    fn has_ended(&self) -> Result<bool> {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        Ok(waitid(WaitId::Pid(self.pid()), options)?.is_some())
    }

    fn reap(&mut self) -> Result<ExitStatus> {
        self.dir.forget_process();
        let mut child = self.child.take().expect("only a child that was started is waited for");
        Ok(child.wait()?)
    }

    fn signal(&self, signal: Signal) {
        kill_process_group(self.pid(), signal).expect("an own child that is not reaped yet can be signalled");
    }

    /// The process's id, which is its group's id as well.
    ///
    /// # Panics
    /// When it does not run.
    pub fn pid(&self) -> Pid {
        let child = self.child.as_ref().unwrap_or_else(|| panic!("{} does not run", self.name));
        Pid::from_raw(child.id().cast_signed()).expect("a child's id is not zero")
    }

    fn log(&self) -> PathBuf {
        self.dir().join("log")
    }

    fn report(&self, what: &str) -> String {
        format!("{} {what}{}; the end of its log:\n{}", self.name, self.little_space(), self.log_end())
    }

    fn log_end(&self) -> String {
        let log = fs::read(self.log()).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(LOG_LINES)..].join("\n")
    }

    /// A full disk often leaves no line in the log, which lies on it.
    fn little_space(&self) -> String {
        let free_mib = File::open(self.dir()).and_then(|dir| Ok(rustix::fs::fstatvfs(dir)?));
        match free_mib.map(|fs| (fs.f_bavail * fs.f_frsize) >> 20) {
            Ok(mib) if mib < LITTLE_SPACE_MIB => format!(" (only {mib} MiB are free in {})", self.dir().display()),
            _ => String::new(),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("the end of the log of {}:\n{}", self.name, self.log_end());
        }
        self.kill();
    }
}

#[cfg(test)]
mod tests {
    use std::{panic, sync::Mutex};

    use super::*;

    fn ready_at_once(_: SocketAddr) -> bool {
        true
    }

    fn never_ready(_: SocketAddr) -> bool {
        false
    }

    /// Writes a line at each start, and obeys signals as `sh` does.
    fn fake(is_ready: fn(SocketAddr) -> bool) -> Server {
        let server = Server::new("fake", WatchedDir::new("fake").unwrap(), ([127, 0, 0, 1], 1).into(), is_ready);
        fs::create_dir(server.data()).unwrap();
        server
    }

    fn sh(script: &str) -> Vec<String> {
        ["sh", "-c", script].map(String::from).to_vec()
    }

    fn is_alive(pid: Pid) -> bool {
        Path::new(&format!("/proc/{}", pid.as_raw_nonzero())).exists()
    }

    #[test]
    fn killed_stopped_and_started_again_on_what_it_kept() {
        let mut server = fake(ready_at_once);
        server.start_by(sh("exec sleep 600")).unwrap();
        fs::write(server.data().join("row"), "kept").unwrap();
        let first = server.pid();
        server.kill();
        assert!(!is_alive(first));
        server.start().unwrap();
        server.stop().unwrap();
        assert!(server.child.is_none());
        assert_eq!(fs::read_to_string(server.data().join("row")).unwrap(), "kept");
    }

    /// Seen to fail when a restore left files that the copy does not have.
    #[test]
    fn a_restore_brings_back_the_copy_and_nothing_else() {
        let mut server = fake(ready_at_once);
        fs::create_dir(server.data().join("table")).unwrap();
        fs::write(server.data().join("table/row"), "old").unwrap();
        let copy = server.copy().unwrap();
        fs::write(server.data().join("table/row"), "new").unwrap();
        fs::write(server.data().join("later"), "").unwrap();
        server.restore(&copy).unwrap();
        assert_eq!(fs::read_to_string(server.data().join("table/row")).unwrap(), "old");
        assert!(!server.data().join("later").exists());
    }

    #[test]
    #[should_panic(expected = "fake runs")]
    fn a_running_server_is_not_copied() {
        let mut server = fake(ready_at_once);
        server.start_by(sh("exec sleep 600")).unwrap();
        server.copy().ok();
    }

    /// Seen to fail when the error did not hold the log, and when the end was not noticed before the limit.
    #[test]
    fn a_start_that_fails_shows_the_end_of_the_log() {
        let mut server = fake(never_ready);
        let err = server.start_by(sh("echo no such table >&2; exit 3")).unwrap_err().to_string();
        assert!(err.contains("exit status: 3") && err.contains("no such table"), "{err}");
        let err = server.prepare(&sh("echo no space; exit 4")).unwrap_err().to_string();
        assert!(err.contains("exit status: 4") && err.contains("no space"), "{err}");
    }

    /// Seen to fail when a dropped server was not killed.
    #[test]
    fn the_process_and_its_directory_are_gone_when_a_test_panics() {
        let seen = Mutex::new(None);
        let outcome = panic::catch_unwind(|| {
            let mut server = fake(ready_at_once);
            server.start_by(sh("exec sleep 600")).unwrap();
            *seen.lock().unwrap() = Some((server.pid(), server.dir().to_owned()));
            panic!("on purpose");
        });
        assert!(outcome.is_err());
        let (pid, dir) = seen.into_inner().unwrap().unwrap();
        assert!(!is_alive(pid));
        assert!(!dir.exists());
    }
}
