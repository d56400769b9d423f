//! A directory that goes with its owner, however the owner ends, and takes the process that lives in it along.
//!
//! A watcher, a small `sh` outside the owner's process group, waits for the end of a pipe that only the owner holds. The
//! kernel closes it when the owner is dropped, panics, is interrupted, or is killed with `kill -9`.

use std::{
    io::{self, PipeWriter, Write},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use anyhow::{Context, Result};

/// `$1` is the directory. The last line read is the id of the process, which is its group's id as well, or empty. A process
/// that is being killed may still write: hence the repetition.
const WATCHER: &str = r#"
trap '' HUP INT QUIT TERM
while read -r line; do pid=$line; done
[ -z "$pid" ] || kill -9 "-$pid"
tries=0
while rm -rf "$1"; [ -e "$1" ] && [ "$tries" -lt 100 ]; do tries=$((tries + 1)); sleep 0.1; done
"#;

/// Tells the watcher its id, then becomes the command `$@`. Its standard input is the writing end of the pipe, which so
/// cannot end before the watcher knows.
const LODGER: &str = r#"echo $$ >&0 && exec "$@" </dev/null"#;

/// A temporary directory, and at most one process in it. Dropped, it kills the process and removes the directory.
#[derive(Debug)]
pub struct WatchedDir {
    path: PathBuf,
    watcher: Child,
    life: Option<PipeWriter>,
}

impl WatchedDir {
    /// An empty directory whose name begins with `septet-` and `name`, in the directory for temporary files.
    ///
    /// # Errors
    /// When it cannot be made, or there is no `sh`.
    pub fn new(name: &str) -> Result<Self> {
        let dir = tempfile::Builder::new()
            .prefix(&format!("septet-{name}-"))
            .tempdir()
            .with_context(|| format!("a temporary directory for {name}"))?;
        let (watched, life) = io::pipe()?;
        let mut sh = Command::new("sh");
        sh.args(["-c", WATCHER, "sh"]).arg(dir.path());
        sh.stdin(watched).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
        let watcher = sh.spawn().context("sh, which watches over a directory")?;
        Ok(Self { path: dir.keep(), watcher, life: Some(life) })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// `command` as the process of this directory: killed with it, together with its children. Its standard input is taken.
    ///
    /// # Errors
    /// When the process has too many files open.
    pub fn command(&self, command: &[String]) -> io::Result<Command> {
        let mut sh = Command::new("sh");
        sh.args(["-c", LODGER, "sh"]).args(command);
        // Two servers of MariaDB with one directory for temporary tables remove each other's.
        sh.env("TMPDIR", &self.path).current_dir(&self.path).process_group(0);
        sh.stdin(self.life().try_clone()?);
        Ok(sh)
    }

    /// The process has ended, or is sure to: to be called before its id is free for another (before it is waited for).
    pub fn forget_process(&self) {
        // A watcher that is gone kills nobody.
        self.life().write_all(b"\n").ok();
    }

    fn life(&self) -> &PipeWriter {
        self.life.as_ref().expect("only taken by drop")
    }
}

impl Drop for WatchedDir {
    fn drop(&mut self) {
        self.life = None;
        self.watcher.wait().ok();
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fs, thread,
        time::{Duration, Instant},
    };

    use super::*;

    /// Seen to fail when the watcher removed nothing, and when its `kill` was one that `dash` does not know.
    #[test]
    fn the_directory_takes_its_process_along() {
        let dir = WatchedDir::new("test").unwrap();
        let path = dir.path().to_owned();
        let mut child = dir.command(&["sleep".into(), "600".into()]).unwrap().spawn().unwrap();
        drop(dir);
        assert!(!path.exists());
        let deadline = Instant::now() + Duration::from_secs(5);
        while child.try_wait().unwrap().is_none() && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(1));
        }
        assert!(child.try_wait().unwrap().is_some() || child.kill().is_err(), "the process lived on");
    }

    /// Seen to fail when the watcher was not told.
    #[test]
    fn a_process_that_ended_is_not_killed_again() {
        let dir = WatchedDir::new("test").unwrap();
        let mut child = dir.command(&["sleep".into(), "600".into()]).unwrap().spawn().unwrap();
        // It is `sleep` by now: what stands for the next process with its id.
        while fs::read_to_string(format!("/proc/{}/comm", child.id())).unwrap() != "sleep\n" {
            thread::sleep(Duration::from_millis(1));
        }
        dir.forget_process();
        drop(dir);
        let lives = child.try_wait().unwrap().is_none();
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(lives);
    }
}
