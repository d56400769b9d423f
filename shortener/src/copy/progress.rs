//! How far the links are: a bar on a terminal, a line now and then in a log.

use std::{cell::Cell, time::Duration};

use indicatif::{ProgressBar, ProgressStyle};
use tokio::time::Instant;

/// How often a line is logged where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(10);

const BAR: &str = "{bar:40} {pos}/{len} links, {per_sec}, {eta} left";

/// Shows how many of all links have been copied.
pub struct Progress {
    bar: ProgressBar,
    all: u64,
    said_at: Cell<Instant>,
}

impl Progress {
    pub fn start(all: u64, copied: u64) -> Self {
        // Hidden by itself where standard error is no terminal.
        let bar = ProgressBar::new(all).with_style(ProgressStyle::with_template(BAR).expect("the template is right"));
        bar.set_position(copied);
        bar.reset_eta();
        if copied > 0 {
            tracing::info!(copied, of = all, "a copy that was begun goes on");
        }
        Progress { bar, all, said_at: Cell::new(Instant::now()) }
    }

    pub fn at(&self, copied: u64) {
        self.bar.set_position(copied);
        if self.bar.is_hidden() && self.said_at.get().elapsed() >= LINE_EVERY {
            self.said_at.set(Instant::now());
            tracing::info!(copied, of = self.all, "copying links");
        }
    }

    pub fn finish(self) {
        self.bar.finish();
    }
}
