//! What a process has used, as the kernel accounts for it.

use std::{collections::BTreeMap, fs};

use anyhow::{Context, Result};
use serde::Serialize;

use crate::engines::Engine;

/// Kernel clock ticks in a second, as `/proc` counts on Linux (`USER_HZ`).
const TICKS_PER_SECOND: f64 = 100.0;

/// Bytes in a kilobyte of `/proc/PID/status`.
const STATUS_KB: u64 = 1024;

/// Totals since the process began.
#[derive(Debug, Clone)]
pub struct Usage {
    /// Ticks on a CPU, those of ended threads included.
    ticks: u64,
    /// Nanoseconds on a CPU, by thread id, as the scheduler adds them up.
    threads: BTreeMap<u32, (String, u64)>,
    minor_faults: u64,
    major_faults: u64,
}

/// What was used between two moments.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Spent {
    /// Seconds on a CPU, to a hundredth, all threads together.
    pub cpu_s: f64,
    /// Seconds on a CPU, by thread name; threads of one name together, ended ones left out.
    pub cpu_s_by_thread: BTreeMap<String, f64>,
    pub minor_faults: u64,
    pub major_faults: u64,
}

impl Usage {
    /// Of the process `pid`, all its threads.
    ///
    /// # Errors
    /// When it has ended.
    pub fn of(pid: u32) -> Result<Self> {
        let mut threads = BTreeMap::new();
        for entry in fs::read_dir(format!("/proc/{pid}/task")).context("the process has ended")? {
            let dir = entry?.path();
            // A thread may end in between: what it used is then lost, as that of every ended thread is.
            let (Ok(name), Ok(schedstat)) =
                (fs::read_to_string(dir.join("comm")), fs::read_to_string(dir.join("schedstat")))
            else {
                continue;
            };
            let tid = dir.file_name().and_then(|name| name.to_str()?.parse().ok()).context("a thread id")?;
            let on_cpu_ns = schedstat.split(' ').next().and_then(|ns| ns.parse().ok()).context("schedstat")?;
            threads.insert(tid, (name.trim_end().to_owned(), on_cpu_ns));
        }
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        // The name in parentheses may hold spaces; state is the first field behind it. See proc_pid_stat(5).
        let fields: Vec<&str> = stat.rsplit_once(") ").context("stat")?.1.split(' ').collect();
        let number = |index: usize| fields.get(index).and_then(|field| field.parse().ok()).context("stat");
        Ok(Self { ticks: number(11)? + number(12)?, threads, minor_faults: number(7)?, major_faults: number(9)? })
    }

    /// What was used since `before`.
    pub fn since(&self, before: &Self) -> Spent {
        let mut cpu_s_by_thread = BTreeMap::new();
        for (tid, (name, on_cpu_ns)) in &self.threads {
            let before_ns = before.threads.get(tid).map_or(0, |(_, ns)| *ns);
            *cpu_s_by_thread.entry(name.clone()).or_insert(0.0) += on_cpu_ns.saturating_sub(before_ns) as f64 / 1e9;
        }
        Spent {
            cpu_s: (self.ticks - before.ticks) as f64 / TICKS_PER_SECOND,
            cpu_s_by_thread,
            minor_faults: self.minor_faults - before.minor_faults,
            major_faults: self.major_faults - before.major_faults,
        }
    }
}

impl Spent {
    /// Microseconds that each of so many operations took, by thread name; names that differ by their number alone are one.
    pub fn us_by_thread(&self, operations: u64) -> BTreeMap<String, f64> {
        let mut by_thread = BTreeMap::new();
        for (name, s) in &self.cpu_s_by_thread {
            *by_thread.entry(without_number(name)).or_insert(0.0) += s * 1e6 / operations as f64;
        }
        by_thread
    }
}

/// The name of a thread, and of all that differ from it by their number.
fn without_number(thread: &str) -> String {
    thread.trim_end_matches(|c: char| c.is_ascii_digit()).trim_end_matches(['-', '#', ':', ' ']).to_owned()
}

/// The id of an engine's process.
///
/// # Panics
/// When it does not run.
pub fn pid_of(engine: &impl Engine) -> u32 {
    engine.server().pid().as_raw_nonzero().get().cast_unsigned()
}

/// Seconds that `core` was busy since the machine began, whoever kept it: interrupts too, which no process is charged for.
///
/// # Errors
/// When there is no such core.
pub fn core_busy_s(core: usize) -> Result<f64> {
    let stat = fs::read_to_string("/proc/stat")?;
    let line = stat.lines().find_map(|line| line.strip_prefix(&format!("cpu{core} "))).context("no such core")?;
    let ticks: Vec<u64> = line.split(' ').map(str::parse).collect::<Result<_, _>>()?;
    // user, nice, system, (idle, iowait,) irq, softirq: see proc_stat(5).
    let busy: u64 = [0, 1, 2, 5, 6].iter().filter_map(|field| ticks.get(*field)).sum();
    Ok(busy as f64 / TICKS_PER_SECOND)
}

/// As [`core_busy_s`], of all cores together.
///
/// # Errors
/// When the machine does not say.
pub fn all_cores_busy_s() -> Result<f64> {
    let stat = fs::read_to_string("/proc/stat")?;
    let is_core =
        |line: &&str| line.strip_prefix("cpu").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    let cores = stat.lines().filter(is_core).count();
    (0..cores).map(core_busy_s).sum()
}

/// Bytes of memory that `pid` holds right now: all, and without what is mapped from files or shared.
///
/// # Errors
/// When it has ended.
pub fn resident_bytes(pid: u32) -> Result<(u64, u64)> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).context("a process with memory")?;
        let kb = line.trim().trim_end_matches(" kB").parse::<u64>()?;
        anyhow::Ok(kb * STATUS_KB)
    };
    Ok((field("VmRSS:")?, field("RssAnon:")?))
}

#[cfg(test)]
mod tests {
    use std::{hint::black_box, process, sync::mpsc, thread, time::Instant};

    use super::*;

    #[test]
    fn work_is_charged_to_the_thread_that_did_it() {
        let before = Usage::of(process::id()).unwrap();
        let (done, is_done) = mpsc::channel();
        let (end, may_end) = mpsc::channel::<()>();
        let worker = thread::Builder::new().name("hard-worker".into());
        let worker = worker
            .spawn(move || {
                let began = Instant::now();
                let mut x = 1u64;
                while began.elapsed().as_millis() < 50 {
                    x = black_box(x.wrapping_mul(31));
                }
                done.send(()).unwrap();
                may_end.recv().ok();
            })
            .unwrap();
        is_done.recv().unwrap();
        let spent = Usage::of(process::id()).unwrap().since(&before);
        let worked_s = spent.cpu_s_by_thread["hard-worker"];
        assert!(worked_s > 0.001 && worked_s < 0.06, "{spent:?}");
        drop(end);
        worker.join().unwrap();
        // Its work stays in the sum when it has ended; a tick is lost to rounding.
        let spent = Usage::of(process::id()).unwrap().since(&before);
        assert!(spent.cpu_s > worked_s - 0.02, "{spent:?}");
    }

    #[test]
    fn threads_of_one_kind_are_one() {
        let cpu_s_by_thread = [("worker-1", 1.0), ("worker-12", 2.0), ("rdk:main", 4.0)];
        let cpu_s_by_thread = cpu_s_by_thread.map(|(name, s)| (name.to_owned(), s)).into();
        let spent = Spent { cpu_s_by_thread, ..Spent::default() };
        let expected = [("rdk:main", 400_000.0), ("worker", 300_000.0)];
        assert_eq!(spent.us_by_thread(10), expected.map(|(name, us)| (name.to_owned(), us)).into());
    }

    #[test]
    fn memory_and_cores_are_read() {
        let (all, anonymous) = resident_bytes(process::id()).unwrap();
        assert!(anonymous > 0 && anonymous <= all);
        assert!(core_busy_s(0).unwrap() > 0.0);
        assert!(core_busy_s(100_000).is_err());
        assert!(all_cores_busy_s().unwrap() >= core_busy_s(0).unwrap());
    }
}
