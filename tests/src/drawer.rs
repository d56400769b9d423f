//! A `septet-drawer` process. Killed when dropped.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

use crate::{binary, drawing::Drawn, lines::Lines, token_service::SECRET};

/// How long an ordered end may take: what cannot be handed back is tried five times.
const STOP_LIMIT: Duration = Duration::from_secs(60);

/// The rest of a stream, once its writer is gone.
const STREAM_LIMIT: Duration = Duration::from_secs(5);

/// What drawers are started with.
#[derive(Debug, Clone)]
pub struct Setup {
    /// As `--leases` takes it.
    pub leases: String,
    /// The link store that all of them share, as `--links` takes it.
    pub links: String,
    /// Where their files go.
    pub directory: PathBuf,
    pub ids_per_s: u64,
}

impl Setup {
    /// Starts one that writes to `directory/name`.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start(&self, name: &str) -> Drawer {
        let out = self.directory.join(name);
        let mut child = Command::new(binary::drawer())
            .args(["--leases", &self.leases, "--links", &self.links, "--ids-per-s", &self.ids_per_s.to_string()])
            .arg("--out")
            .arg(&out)
            .env("SEPTET_TOKEN_SERVICE_SECRET", SECRET)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the drawer starts");
        let stdout = Lines::follow(child.stdout.take().expect("piped above"));
        let stderr = Lines::follow(child.stderr.take().expect("piped above"));
        Drawer { child, stdout, stderr, out }
    }
}

/// A running drawer.
#[derive(Debug)]
pub struct Drawer {
    child: Child,
    stdout: Lines,
    stderr: Lines,
    out: PathBuf,
}

impl Drawer {
    /// What it has done, as it last said.
    pub fn drawn(&self) -> Drawn {
        last(&self.stdout.so_far())
    }

    /// The file of its ids.
    pub fn out(&self) -> &Path {
        &self.out
    }

    /// `kill -9`. What it had last said.
    pub fn kill(mut self) -> Drawn {
        self.kill_child();
        last(&self.stdout.to_end(STREAM_LIMIT))
    }

    /// Stops it in order. What it has done in all, and whether it handed everything back.
    ///
    /// # Panics
    /// When it takes longer than a minute.
    pub fn stop(mut self) -> Drawn {
        let pid = Pid::from_raw(self.child.id().cast_signed()).expect("a child's id is not zero");
        kill_process(pid, Signal::TERM).expect("an own child that is not reaped yet can be signalled");
        let deadline = Instant::now() + STOP_LIMIT;
        while self.child.try_wait().expect("an own child can be waited for").is_none() {
            assert!(Instant::now() < deadline, "a drawer does not stop:\n{}", self.stderr.so_far().join("\n"));
            thread::sleep(Duration::from_millis(10));
        }
        last(&self.stdout.to_end(STREAM_LIMIT))
    }

    fn kill_child(&mut self) {
        // An error means that it has ended by itself.
        self.child.kill().ok();
        self.child.wait().expect("an own child can be waited for");
    }
}

impl Drop for Drawer {
    fn drop(&mut self) {
        if !matches!(self.child.try_wait(), Ok(Some(_))) {
            self.kill_child();
        }
        if thread::panicking() {
            let log = self.stderr.so_far();
            eprintln!(
                "the end of the log of {}:\n{}",
                self.out.display(),
                log[log.len().saturating_sub(40)..].join("\n")
            );
        }
    }
}

fn last(lines: &[String]) -> Drawn {
    lines.iter().rev().find_map(|line| serde_json::from_str(line).ok()).unwrap_or_default()
}
