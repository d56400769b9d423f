//! The server to compare with: nginx, answering the same keys from a `map` by `return 302`.

use std::{
    env,
    fmt::Write as _,
    fs,
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// How long a start or a stop may take; building the hash of a large map takes seconds.
const LIMIT: Duration = Duration::from_secs(60);

const POLL: Duration = Duration::from_millis(10);

/// A running nginx with one worker. Ended when dropped.
#[derive(Debug)]
pub struct Nginx {
    master: Child,
    worker: u32,
    pub listen: SocketAddr,
    _dir: TempDir,
}

impl Nginx {
    /// Starts it with a map of `links`, each a key and where it leads. A map ignores case: of keys that differ in nothing
    /// else, the first is taken.
    ///
    /// # Errors
    /// When there is no nginx, or it does not answer within a minute.
    pub fn start<'a>(links: impl Iterator<Item = (&'a str, &'a str)>) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let listen = free_address()?;
        let count = write_map(&dir.path().join("links.map"), links)?;
        fs::write(dir.path().join("nginx.conf"), config(dir.path(), listen, count))?;
        let master = Command::new(binary().context("nginx is not installed: apt-get install nginx-light")?)
            .arg("-p")
            .arg(dir.path())
            .args(["-e", "error.log", "-c", "nginx.conf"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::inherit())
            .spawn()?;
        let mut nginx = Self { master, worker: 0, listen, _dir: dir };
        let deadline = Instant::now() + LIMIT;
        while TcpStream::connect(listen).is_err() || nginx.find_worker().is_none() {
            ensure!(nginx.master.try_wait()?.is_none(), "nginx has ended");
            ensure!(Instant::now() < deadline, "nginx does not answer");
            thread::sleep(POLL);
        }
        nginx.worker = nginx.find_worker().context("nginx has no worker")?;
        Ok(nginx)
    }

    /// The process that answers.
    pub fn worker_pid(&self) -> u32 {
        self.worker
    }

    fn find_worker(&self) -> Option<u32> {
        let master = self.master.id();
        let children = fs::read_to_string(format!("/proc/{master}/task/{master}/children")).ok()?;
        children.split_whitespace().next()?.parse().ok()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let pid = Pid::from_raw(self.master.id().cast_signed()).expect("a child's id is not zero");
        // The master ends its worker; killed, it would leave it behind.
        kill_process(pid, Signal::TERM).ok();
        let deadline = Instant::now() + LIMIT;
        while matches!(self.master.try_wait(), Ok(None)) {
            if Instant::now() > deadline {
                if let Some(worker) = Pid::from_raw(self.worker.cast_signed()) {
                    kill_process(worker, Signal::KILL).ok();
                }
                self.master.kill().ok();
            }
            thread::sleep(POLL);
        }
    }
}

fn binary() -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    // Debian keeps it where only the administrator's PATH leads.
    let dirs = env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    dirs.map(|dir| dir.join("nginx")).find(|file| file.is_file())
}

/// A port that was free a moment ago: nginx does not say which one it got.
fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

fn write_map<'a>(file: &Path, links: impl Iterator<Item = (&'a str, &'a str)>) -> Result<usize> {
    let (mut map, mut seen) = (String::new(), std::collections::HashSet::new());
    for (key, url) in links.filter(|(key, _)| seen.insert(key.to_lowercase())) {
        writeln!(map, "\"/{key}\" \"{url}\";")?;
    }
    fs::write(file, map)?;
    Ok(seen.len())
}

fn config(dir: &Path, listen: SocketAddr, links: usize) -> String {
    let (dir, hash_size) = (dir.display(), (links * 2).next_power_of_two().max(2048));
    format!(
        "daemon off;
        worker_processes 1;
        pid {dir}/nginx.pid;
        error_log {dir}/error.log;
        events {{ worker_connections 1024; }}
        http {{
            access_log off;
            keepalive_timeout 3600s;
            keepalive_requests 1000000000;
            client_body_temp_path {dir}/body;
            proxy_temp_path {dir}/proxy;
            fastcgi_temp_path {dir}/fastcgi;
            uwsgi_temp_path {dir}/uwsgi;
            scgi_temp_path {dir}/scgi;
            map_hash_max_size {hash_size};
            map_hash_bucket_size 256;
            map $uri $target {{ include {dir}/links.map; }}
            server {{
                listen {listen};
                location / {{ return 302 $target; }}
            }}
        }}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::raw;

    /// Needs nginx, which only the benchmark does: without one there is nothing to check.
    #[test]
    fn nginx_leads_where_its_map_says_and_is_gone_afterwards() {
        if binary().is_none() {
            return;
        }
        let links = [("abc", "https://example.com/?a=1&b=$x"), ("ABC", "https://example.com/shadowed")];
        let links = links.map(|(key, url)| (key, url.replace("$x", "2")));
        let nginx = Nginx::start(links.iter().map(|(key, url)| (*key, url.as_str()))).unwrap();
        let answer = raw::exchange(nginx.listen, b"GET /abc HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        assert_eq!(answer.status, 302);
        assert_eq!(answer.location.as_deref(), Some(&b"https://example.com/?a=1&b=2"[..]));
        let worker = nginx.worker_pid();
        drop(nginx);
        assert!(!Path::new(&format!("/proc/{worker}")).exists());
    }
}
