//! The lines that a child writes, gathered while it runs.

use std::{
    io::{BufRead, BufReader, Read},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use parking_lot::{Condvar, Mutex};

/// The lines read so far from one stream. Clones see the same lines.
#[derive(Debug, Clone, Default)]
pub struct Lines(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    lines: Vec<String>,
    ended: bool,
}

impl Lines {
    /// Reads `stream` on a thread of its own until it ends, which it does with the child that writes it.
    pub fn follow(stream: impl Read + Send + 'static) -> Self {
        let lines = Self::default();
        let shared = Arc::clone(&lines.0);
        thread::spawn(move || {
            for line in BufReader::new(stream).split(b'\n').map_while(Result::ok) {
                shared.state.lock().lines.push(String::from_utf8_lossy(&line).into_owned());
                shared.changed.notify_all();
            }
            shared.state.lock().ended = true;
            shared.changed.notify_all();
        });
        lines
    }

    /// What `pick` makes of the first line it takes. `None` when the stream ends or `timeout` passes before.
    pub fn wait_for<T>(&self, timeout: Duration, pick: impl Fn(&str) -> Option<T>) -> Option<T> {
        let deadline = Instant::now() + timeout;
        let mut state = self.0.state.lock();
        let mut seen = 0;
        loop {
            if let Some(picked) = state.lines[seen..].iter().find_map(|line| pick(line)) {
                return Some(picked);
            }
            seen = state.lines.len();
            if state.ended || self.0.changed.wait_until(&mut state, deadline).timed_out() {
                return None;
            }
        }
    }

    /// All lines, once the stream has ended, or what there is after `timeout`.
    pub fn to_end(&self, timeout: Duration) -> Vec<String> {
        let deadline = Instant::now() + timeout;
        let mut state = self.0.state.lock();
        while !state.ended && !self.0.changed.wait_until(&mut state, deadline).timed_out() {}
        state.lines.clone()
    }

    /// All lines so far.
    pub fn so_far(&self) -> Vec<String> {
        self.0.state.lock().lines.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_secs(5);

    #[test]
    fn a_line_is_found_and_the_end_is_not_waited_for() {
        let lines = Lines::follow(&b"one\nport 17\ntwo"[..]);
        let port = lines.wait_for(SOON, |line| line.strip_prefix("port ")?.parse::<u16>().ok());
        assert_eq!(port, Some(17));
        assert_eq!(lines.wait_for(SOON, |line| (line == "three").then_some(())), None);
        assert_eq!(lines.to_end(SOON), ["one", "port 17", "two"]);
    }
}
