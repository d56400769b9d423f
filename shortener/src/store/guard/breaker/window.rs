//! How calls went of late: a tally over a rolling window, in constant memory.

use std::time::Duration;

use tokio::time::Instant;

/// Parts of a window. It forgets one of them at a time, so that it reaches back for its length or up to a tenth less.
pub(super) const SLOTS: usize = 10;

/// Calls, and how many of them went badly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Tally {
    pub(super) calls: u64,
    pub(super) bad: u64,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Window {
    origin: Instant,
    slot: Duration,
    /// The newest slot, counted from the origin.
    newest: u64,
    tallies: [Tally; SLOTS],
}

impl Window {
    pub(super) fn new(length: Duration, now: Instant) -> Self {
        let slot = (length / SLOTS as u32).max(Duration::from_nanos(1));
        Window { origin: now, slot, newest: 0, tallies: [Tally::default(); SLOTS] }
    }

    /// Counts a call that ended now, and says how all went.
    pub(super) fn record(&mut self, bad: bool, now: Instant) -> Tally {
        self.advance(now);
        let tally = &mut self.tallies[index(self.newest)];
        tally.calls += 1;
        tally.bad += u64::from(bad);
        let sum = |sum: Tally, slot: &Tally| Tally { calls: sum.calls + slot.calls, bad: sum.bad + slot.bad };
        self.tallies.iter().fold(Tally::default(), sum)
    }

    fn advance(&mut self, now: Instant) {
        let elapsed = now.saturating_duration_since(self.origin).as_nanos();
        let newest = u64::try_from(elapsed / self.slot.as_nanos()).unwrap_or(u64::MAX);
        let passed = newest.saturating_sub(self.newest).min(SLOTS as u64);
        for slot in (newest.saturating_sub(passed)..newest).map(|before| before + 1) {
            self.tallies[index(slot)] = Tally::default();
        }
        self.newest = self.newest.max(newest);
    }
}

fn index(slot: u64) -> usize {
    (slot % SLOTS as u64) as usize
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// The window says what a list of all calls says. Seen to fail when a slot was not emptied before it was used again, and
        /// when a pause longer than the window left anything in it.
        #[test]
        fn a_window_is_a_list_that_forgets(calls in prop::collection::vec((0u64..3_000, any::<bool>()), 1..200)) {
            let origin = Instant::now();
            let mut window = Window::new(Duration::from_secs(10), origin);
            let (mut now_ms, mut list) = (0, Vec::new());
            for (pause_ms, bad) in calls {
                // A few pauses are longer than the window.
                now_ms += if pause_ms > 2_990 { 10 * pause_ms } else { pause_ms };
                list.push((now_ms, bad));
                let told = window.record(bad, origin + Duration::from_millis(now_ms));
                let remembered = list.iter().filter(|(at_ms, _)| at_ms / 1_000 + SLOTS as u64 > now_ms / 1_000);
                let expected = remembered.fold(Tally::default(), |tally, (_, bad)| Tally {
                    calls: tally.calls + 1,
                    bad: tally.bad + u64::from(*bad),
                });
                prop_assert_eq!(told, expected);
            }
        }
    }
}
