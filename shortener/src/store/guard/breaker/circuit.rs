//! A circuit: a state machine over moments that it is told. It reads no clock, takes no lock and waits for nothing.
//!
//! ```text
//! closed ----- too many of the calls of late were bad -----> open
//! open ------- its pause is over, a call comes ------------> half-open
//! half-open -- as many probes as asked for were good ------> closed
//! half-open -- one probe was bad --------------------------> open, for longer
//! ```

use tokio::time::Instant;

use super::{
    BreakerSettings, State,
    window::{Tally, Window},
};
use crate::backoff::Backoff;

/// See the module.
#[derive(Debug)]
pub(super) struct Circuit {
    settings: BreakerSettings,
    phase: Phase,
    /// Changes of phase so far.
    epoch: u64,
    pauses: Backoff,
}

#[derive(Debug)]
enum Phase {
    Closed(Window),
    Open { until: Instant },
    HalfOpen { under_way: u32, good: u32 },
}

/// A call that was let through, to be given back when it ends. It tells of the phase that let it through and of no other: what
/// was begun before a circuit opened says nothing about whether it may close.
#[derive(Debug)]
pub(super) struct Ticket {
    epoch: u64,
}

/// How a call went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// An answer, soon enough.
    Good,
    /// No answer, or a slow one.
    Bad,
    /// Whoever called went away before there was one.
    Unknown,
}

impl Circuit {
    pub(super) fn new(settings: BreakerSettings, now: Instant) -> Self {
        let pauses = Backoff::new(settings.pause_min, settings.pause_max);
        Circuit { phase: Phase::Closed(Window::new(settings.window, now)), settings, epoch: 0, pauses }
    }

    pub(super) fn state(&self) -> State {
        match self.phase {
            Phase::Closed(_) => State::Closed,
            Phase::Open { .. } => State::Open,
            Phase::HalfOpen { .. } => State::HalfOpen,
        }
    }

    /// Lets a call through, or does not.
    pub(super) fn admit(&mut self, now: Instant) -> Option<Ticket> {
        if matches!(self.phase, Phase::Open { until } if until <= now) {
            self.enter(Phase::HalfOpen { under_way: 0, good: 0 });
        }
        match &mut self.phase {
            Phase::Closed(_) => {}
            Phase::HalfOpen { under_way, good } if *under_way + *good < self.settings.probes.get() => *under_way += 1,
            Phase::Open { .. } | Phase::HalfOpen { .. } => return None,
        }
        Some(Ticket { epoch: self.epoch })
    }

    /// Ends a call that was let through.
    pub(super) fn ended(&mut self, ticket: Ticket, verdict: Verdict, now: Instant) {
        if ticket.epoch != self.epoch {
            return;
        }
        match (&mut self.phase, verdict) {
            (Phase::Closed(_), Verdict::Unknown) | (Phase::Open { .. }, _) => {}
            (Phase::Closed(window), Verdict::Good) => {
                window.record(false, now);
            }
            // Only a bad call opens: a store that begins to answer is not cut off by its first answers.
            (Phase::Closed(window), Verdict::Bad) => {
                let of_late = window.record(true, now);
                if is_too_bad(of_late, &self.settings) {
                    self.open(now);
                }
            }
            (Phase::HalfOpen { under_way, .. }, Verdict::Unknown) => *under_way -= 1,
            (Phase::HalfOpen { .. }, Verdict::Bad) => self.open(now),
            (Phase::HalfOpen { under_way, good }, Verdict::Good) => {
                *under_way -= 1;
                *good += 1;
                if *good >= self.settings.probes.get() {
                    self.pauses.reset();
                    self.enter(Phase::Closed(Window::new(self.settings.window, now)));
                }
            }
        }
    }

    fn open(&mut self, now: Instant) {
        let until = now + self.pauses.pause();
        self.enter(Phase::Open { until });
    }

    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.epoch += 1;
    }
}

fn is_too_bad(of_late: Tally, settings: &BreakerSettings) -> bool {
    of_late.calls >= settings.calls_min && of_late.bad * 100 >= of_late.calls * u64::from(settings.bad_percent)
}

#[cfg(test)]
mod tests;
