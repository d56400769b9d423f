//! What a long step says of itself, on standard error.

use std::{
    fmt::Display,
    time::{Duration, Instant},
};

/// How often it says how far it is.
const EVERY: Duration = Duration::from_secs(10);

/// Says what is done now.
pub fn say(what: impl Display) {
    eprintln!("septet-bench: {what}");
}

/// A step that takes long.
pub struct Progress {
    what: String,
    of: u64,
    told_at: Instant,
}

impl Progress {
    /// One that begins now, and ends at `of`.
    pub fn begin(what: impl Into<String>, of: u64) -> Self {
        let what = what.into();
        say(&what);
        Progress { what, of, told_at: Instant::now() }
    }

    /// It is so far.
    pub fn at(&mut self, done: u64) {
        if self.told_at.elapsed() >= EVERY {
            say(format_args!("{}: {done} of {}", self.what, self.of));
            self.told_at = Instant::now();
        }
    }
}
