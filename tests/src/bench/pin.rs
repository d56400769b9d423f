//! Which core runs what.

use std::io;

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// Runs `start` with this thread on `core` alone, so that the processes and threads started in it stay there.
///
/// # Errors
/// When there is no such core, or it is not ours.
pub fn on_core<T>(core: usize, start: impl FnOnce() -> T) -> io::Result<T> {
    let before = sched_getaffinity(None)?;
    this_thread(core)?;
    let started = start();
    sched_setaffinity(None, &before)?;
    Ok(started)
}

/// Keeps this thread on `core` from here on.
///
/// # Errors
/// When there is no such core, or it is not ours.
pub fn this_thread(core: usize) -> io::Result<()> {
    let mut cores = CpuSet::new();
    cores.set(core);
    Ok(sched_setaffinity(None, &cores)?)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// What `/proc` says of this thread.
    fn allowed() -> String {
        let status = fs::read_to_string("/proc/thread-self/status").unwrap();
        status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:\t")).unwrap().to_owned()
    }

    #[test]
    fn a_thread_is_where_it_was_after_a_start_elsewhere() {
        let before = allowed();
        let first = (0..CpuSet::MAX_CPU).find(|core| sched_getaffinity(None).unwrap().is_set(*core)).unwrap();
        let child = on_core(first, || std::thread::spawn(allowed).join().unwrap()).unwrap();
        assert_eq!(child, first.to_string());
        assert_eq!(allowed(), before);
    }
}
