//! The two threads of the click log: one prepares segments before they are needed, one flushes what was appended.

use std::{
    io,
    sync::{Arc, atomic::Ordering},
    thread::{self, JoinHandle},
    time::Duration,
};

use super::shared::Shared;

/// How soon a segment that could not be had is tried again, when nobody wakes the thread.
const PREPARE_RETRY: Duration = Duration::from_secs(1);

pub fn start(shared: &Arc<Shared>) -> io::Result<Vec<JoinHandle<()>>> {
    let spawn = |name: &str, run: fn(&Shared)| {
        let shared = Arc::clone(shared);
        thread::Builder::new().name(name.to_owned()).spawn(move || run(&shared))
    };
    let preparer = spawn("click-log-prepare", prepare)?;
    shared.preparer.get_or_init(|| preparer.thread().clone());
    match spawn("click-log-flush", flush) {
        Ok(flusher) => Ok(vec![preparer, flusher]),
        Err(error) => {
            shared.stopping.store(true, Ordering::Release);
            preparer.thread().unpark();
            Err(error)
        }
    }
}

fn prepare(shared: &Shared) {
    while !shared.stopping.load(Ordering::Acquire) {
        for log in shared.logs_from(0) {
            if log.wants_segment() {
                shared.prepare_ahead(&log);
            }
        }
        thread::park_timeout(PREPARE_RETRY);
    }
}

fn flush(shared: &Shared) {
    loop {
        thread::park_timeout(shared.flush_interval);
        if shared.stopping.load(Ordering::Acquire) {
            return;
        }
        if let Err(error) = shared.flush() {
            tracing::error!(%error, "the click log could not be flushed: a power failure would lose clicks");
        }
    }
}
