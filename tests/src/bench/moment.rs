//! Who used how much of the machine between two moments.

use std::{collections::BTreeMap, time::Instant};

use anyhow::Result;

use super::cpu::{self, Spent, Usage};

/// What processes have used up to a moment.
#[derive(Debug)]
pub struct Moment {
    at: Instant,
    busy_s: f64,
    used: BTreeMap<&'static str, Usage>,
}

/// The time between two moments.
#[derive(Debug)]
pub struct Stretch {
    pub seconds: f64,
    /// By each process that was looked at.
    pub spent: BTreeMap<&'static str, Spent>,
    /// Cores that were busy with something else, interrupts included: where that is much, a measurement says little.
    pub others_cores: f64,
}

impl Moment {
    /// Of processes, by what they are called and their ids.
    ///
    /// # Errors
    /// When one of them has ended.
    pub fn of(processes: &[(&'static str, u32)]) -> Result<Self> {
        let used = processes.iter().map(|(name, pid)| Ok((*name, Usage::of(*pid)?))).collect::<Result<_>>()?;
        Ok(Moment { at: Instant::now(), busy_s: cpu::all_cores_busy_s()?, used })
    }

    /// What was used since `before`, at which the same processes were looked at.
    pub fn since(&self, before: &Moment) -> Stretch {
        let spent = self.used.iter().zip(before.used.values());
        let spent: BTreeMap<_, _> = spent.map(|((name, used), before)| (*name, used.since(before))).collect();
        let seconds = (self.at - before.at).as_secs_f64();
        let own_s: f64 = spent.values().map(|spent| spent.cpu_s).sum();
        Stretch { seconds, spent, others_cores: (self.busy_s - before.busy_s - own_s) / seconds }
    }
}

impl Stretch {
    /// Microseconds of CPU that each of so many operations took of each process.
    pub fn cpu_us(&self, operations: u64) -> BTreeMap<&'static str, f64> {
        self.spent.iter().map(|(name, spent)| (*name, spent.cpu_s * 1e6 / operations as f64)).collect()
    }

    /// The same of one process by its threads; nothing of one that was not looked at.
    pub fn cpu_us_by_thread(&self, process: &str, operations: u64) -> BTreeMap<String, f64> {
        self.spent.get(process).map(|spent| spent.us_by_thread(operations)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use std::{hint::black_box, process, time::Duration};

    use super::*;

    #[test]
    fn work_is_charged_to_its_process_and_to_nobody_else() {
        let own = [("own", process::id())];
        let before = Moment::of(&own).unwrap();
        let mut x = 1_u64;
        while before.at.elapsed() < Duration::from_millis(60) {
            x = black_box(x.wrapping_mul(31));
        }
        let stretch = Moment::of(&own).unwrap().since(&before);
        let each = stretch.cpu_us(10)["own"];
        assert!(each > 0.0 && (each * 10.0 / 1e6 - stretch.spent["own"].cpu_s).abs() < 1e-9, "{stretch:?}");
        assert!(stretch.seconds >= 0.06, "{stretch:?}");
        assert!(!stretch.cpu_us_by_thread("own", 1).is_empty());
        assert!(stretch.cpu_us_by_thread("another", 1).is_empty());
    }
}
