//! Says in the log that questions get no answer, but not for each of them.

use std::{
    error::Error,
    sync::Mutex,
    time::{Duration, Instant},
};

/// The shortest time from one line to the next.
const LINE_INTERVAL: Duration = Duration::from_secs(1);

static LINES: Mutex<Lines> = Mutex::new(Lines { last: None, left_out: 0 });

struct Lines {
    last: Option<Instant>,
    left_out: u64,
}

impl Lines {
    /// Whether to write a line now, and for how many failures it stands that had none.
    fn due(&mut self, now: Instant) -> Option<u64> {
        if self.last.is_some_and(|last| now.saturating_duration_since(last) < LINE_INTERVAL) {
            self.left_out += 1;
            return None;
        }
        self.last = Some(now);
        Some(std::mem::take(&mut self.left_out))
    }
}

/// Logs why a question was not answered, and how many others failed since the last line.
pub fn unavailable(cause: &dyn Error) {
    let due = LINES.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).due(Instant::now());
    if let Some(others) = due {
        tracing::warn!(error = %cause, others, "a question was not answered");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seen to fail when what was left out was not counted.
    #[test]
    fn a_flood_of_failures_is_a_line_a_second() {
        let start = Instant::now();
        let mut lines = Lines { last: None, left_out: 0 };
        assert_eq!(lines.due(start), Some(0));
        assert_eq!(lines.due(start), None);
        assert_eq!(lines.due(start + LINE_INTERVAL / 2), None);
        assert_eq!(lines.due(start + LINE_INTERVAL), Some(2));
    }
}
