//! A `septet` process, and a client for it.

use std::{
    ffi::OsString,
    ops::Deref,
    path::{self, Path},
};

use tempfile::TempDir;

use crate::{
    binary,
    client::Client,
    mode::Mode,
    process::{self, Launch, Running},
};

pub use process::Ended;

/// An API key for tests.
pub const API_KEY: &str = "a-key-for-tests-that-nobody-guesses";

/// The domain of the links that tests make; no name server knows it.
pub const DOMAIN: &str = "go.example";

/// What a `septet` is started with.
#[derive(Debug, Clone)]
pub struct Setup(Launch);

impl Setup {
    /// Any two free ports, [`API_KEY`], [`DOMAIN`], and `data_dir`, which outlives the process; in the mode that is
    /// [chosen](Mode::chosen).
    ///
    /// # Panics
    /// When `data_dir` is empty, or what the mode takes does not start.
    pub fn new(data_dir: &Path) -> Self {
        Self::in_mode(Mode::chosen(), data_dir)
    }

    /// As [`new`](Self::new), in the mode of a test that is about this one alone.
    ///
    /// # Panics
    /// As [`new`](Self::new) does.
    pub fn in_mode(mode: Mode, data_dir: &Path) -> Self {
        let data_dir = &path::absolute(data_dir).expect("a directory");
        let launch = Launch::new(binary::septet(), data_dir);
        Self(mode.apply(launch, data_dir))
            .flag("--listen", "127.0.0.1:0")
            .flag("--ops-listen", "127.0.0.1:0")
            .flag("--public-url", format!("http://{DOMAIN}"))
            .flag("--data-dir", data_dir)
            .flag("--api-key", API_KEY)
    }

    /// See [`Launch::flag`].
    pub fn flag(self, flag: &str, value: impl Into<OsString>) -> Self {
        Self(self.0.flag(flag, value))
    }

    /// See [`Launch::without`].
    pub fn without(self, flag: &str) -> Self {
        Self(self.0.without(flag))
    }

    /// See [`Launch::env`].
    pub fn env(self, name: &str, value: impl Into<OsString>) -> Self {
        Self(self.0.env(name, value))
    }

    /// See [`Launch::allow_log`].
    pub fn allow_log(self, text: &str) -> Self {
        Self(self.0.allow_log(text))
    }

    /// The same, for those who start it themselves.
    pub fn launch(self) -> Launch {
        self.0
    }

    /// See [`Launch::start`].
    pub fn start(&self) -> Septet {
        Septet(self.0.start())
    }

    /// See [`Launch::start_unready`].
    pub fn start_unready(&self) -> Septet {
        Septet(self.0.start_unready())
    }

    /// See [`Launch::run_to_end`].
    pub fn run_to_end(&self, subcommand: &str) -> Ended {
        self.0.run_to_end(subcommand)
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
    process::run(binary::septet(), args)
}

/// A running `septet`: its process, and who talks to it.
#[derive(Debug)]
pub struct Septet(Running);

impl Septet {
    /// A client with [`API_KEY`].
    pub fn client(&self) -> Client {
        Client::new(self.listen, API_KEY)
    }

    /// See [`Running::wait`].
    pub fn wait(self) -> Ended {
        self.0.wait()
    }

    /// See [`Running::stop`].
    pub fn stop(self) {
        self.0.stop();
    }

    /// See [`Running::kill`].
    pub fn kill(self) {
        self.0.kill();
    }

    /// `kill -9`, and then the same again on the same directory.
    pub fn kill_and_restart(self) -> Self {
        let launch = self.launch().clone();
        self.kill();
        Septet(launch.start())
    }
}

impl Deref for Septet {
    type Target = Running;

    fn deref(&self) -> &Running {
        &self.0
    }
}
