//! The binary itself: how it starts, what it refuses to start with, and how it stops.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::Path,
    process::{Child, Command, Output, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

/// Longer than any step of stopping may take, with nothing to do.
const STOP_WAIT: Duration = Duration::from_secs(15);

/// A started service; killed with its directory if a test fails.
struct Service {
    child: Child,
    lines: BufReader<std::process::ChildStdout>,
    listening: String,
    ops: String,
}

impl Service {
    fn start(directory: &Path) -> Self {
        let mut child = command(directory, &["--database", "sqlite:"]).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        let mut line = |start: &str| {
            let mut line = String::new();
            lines.read_line(&mut line).unwrap();
            let rest = line.strip_prefix(start).unwrap_or_else(|| panic!("{line:?} does not start with {start:?}"));
            rest.split_whitespace().next().unwrap().to_owned()
        };
        assert_eq!(line("Septet token service "), env!("CARGO_PKG_VERSION"));
        let (listening, ops) = (line("listening on http://"), line("ops on http://"));
        Service { child, lines, listening, ops }
    }

    /// The exit status after `signal`, and what else was printed. A service that goes on is killed, and has no status.
    fn stop(mut self, signal: Signal) -> (Option<i32>, String) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
        end(&mut self.child);
        let mut rest = String::new();
        self.lines.read_to_string(&mut rest).unwrap();
        (self.child.wait().unwrap().code(), rest)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn command(directory: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_septet-token-service"));
    command.args(args).current_dir(directory).env_clear();
    command.env("SEPTET_LISTEN", "127.0.0.1:0").env("SEPTET_OPS_LISTEN", "127.0.0.1:0");
    command.env("SEPTET_LOG_FORMAT", "json").env("SEPTET_DATA_DIR", "data");
    command
}

/// Waits for the end, or makes it.
fn end(child: &mut Child) {
    let started = Instant::now();
    while child.try_wait().unwrap().is_none() && started.elapsed() < STOP_WAIT {
        sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
}

fn run(directory: &Path, args: &[&str]) -> Output {
    let mut child = command(directory, args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    end(&mut child);
    child.wait_with_output().unwrap()
}

fn get(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// Seen to fail when a signal was not listened for: the exit status is then none.
#[test]
fn it_starts_serves_and_stops_cleanly() {
    let directory = tempfile::tempdir().unwrap();
    for signal in [Signal::TERM, Signal::INT] {
        let service = Service::start(directory.path());
        assert!(get(&service.listening, "/v1/account").ends_with("\"days_left\":null}"));
        assert!(get(&service.ops, "/livez").contains("200 OK"));
        // It became ready before anybody could ask, or is about to: the store is open since the start.
        while !get(&service.ops, "/readyz").contains("200 OK") {}
        let metrics = get(&service.ops, "/metrics");
        assert!(metrics.contains("septet_token_build_info"), "{metrics}");
        let (status, rest) = service.stop(signal);
        assert_eq!((status, rest.as_str()), (Some(0), ""), "{signal:?}");
    }
}

/// Seen to fail when any address was served without a secret, and when no database meant `sqlite:`.
#[test]
fn it_does_not_start_as_it_must_not() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("file"), "no directory").unwrap();
    let open_to_all = ["--database", "sqlite:", "--listen", "0.0.0.0:0"];
    for (args, words) in [
        (&[][..], &["--database", "mysql://user:password@host/database", "sqlite:"][..]),
        (&open_to_all, &["--listen 0.0.0.0:0", "--token-service-secret"]),
        (&["--database", "root:hunter2@db"], &["--database", "sqlite:"]),
        (&["--database", "sqlite:", "--token-service-secret", "hunter2"], &["--token-service-secret", "24 characters"]),
        (&["--database", "sqlite:file/x.db"], &["directory file cannot be made"]),
        (&["account", "--database", "sqlite:"], &["there is no lease store", "data/leases.db"]),
    ] {
        let output = run(directory.path(), args);
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{args:?}: {message}");
        assert!(words.iter().all(|word| message.contains(word)), "{args:?}: {message}");
        assert!(!message.contains("hunter2"), "{message}");
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn a_database_is_prepared_and_its_account_is_shown() {
    let directory = tempfile::tempdir().unwrap();
    for _ in 0..2 {
        assert_eq!(run(directory.path(), &["migrate", "--database", "sqlite:"]).status.code(), Some(0));
    }
    let output = run(directory.path(), &["account", "--database", "sqlite:data/leases.db"]);
    let report = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{report}");
    assert!(report.contains("859769190"), "{report}");
}
