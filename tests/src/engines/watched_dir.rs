//! A directory that goes with its owner, however the owner ends, and takes the process that lives in it along.
//!
//! A watcher, a small `sh` outside the owner's process group, waits for the end of a pipe that only the owner holds. The
//! kernel closes it when the owner is dropped, panics, is interrupted, or is killed with `kill -9`.

use std::{
    fs,
    io::{self, PipeWriter},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use anyhow::{Context, Result};

/// `$1` is the directory, `$2` the file of the process's id, which is its group's id as well. A process that is being killed
/// may still write: hence the repetition.
const WATCHER: &str = r#"
trap '' HUP INT QUIT TERM
cat
if read -r pid <"$2"; then kill -9 "-$pid"; fi
tries=0
while rm -rf "$1"; [ -e "$1" ] && [ "$tries" -lt 100 ]; do tries=$((tries + 1)); sleep 0.1; done
"#;

/// `$1` is the file to write the own id to, the rest the command to become.
const LODGER: &str = r#"echo $$ >"$1" && shift && exec "$@""#;

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
        sh.args(["-c", WATCHER, "sh"]).arg(dir.path()).arg(pid_file(dir.path()));
        sh.stdin(watched).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
        let watcher = sh.spawn().context("sh, which watches over a directory")?;
        Ok(Self { path: dir.keep(), watcher, life: Some(life) })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// `command` as the process of this directory: killed with the directory, together with its children.
    pub fn command(&self, command: &[String]) -> Command {
        let mut sh = Command::new("sh");
        sh.args(["-c", LODGER, "sh"]).arg(pid_file(&self.path)).args(command);
        sh.current_dir(&self.path).process_group(0);
        sh
    }

    /// The process has ended, or is sure to: to be called before its id is free for another (before it is waited for).
    pub fn forget_process(&self) {
        // When there is no file, there was no process.
        fs::remove_file(pid_file(&self.path)).ok();
    }
}

impl Drop for WatchedDir {
    fn drop(&mut self) {
        self.life = None;
        self.watcher.wait().ok();
    }
}

fn pid_file(dir: &Path) -> PathBuf {
    dir.join("pid")
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
        let mut child = dir.command(&["sleep".into(), "600".into()]).spawn().unwrap();
        while fs::read(pid_file(&path)).map_or(true, |pid| pid.is_empty()) {
            thread::sleep(Duration::from_millis(1));
        }
        drop(dir);
        assert!(!path.exists());
        let deadline = Instant::now() + Duration::from_secs(5);
        while child.try_wait().unwrap().is_none() {
            assert!(Instant::now() < deadline, "the process lives on");
            thread::sleep(Duration::from_millis(1));
        }
    }
}
