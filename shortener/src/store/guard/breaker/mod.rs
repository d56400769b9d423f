//! A circuit breaker: while most calls fail or are slow, the rest are refused at once, and a few probes find out when that is
//! over.
//!
//! - A circuit for each kind of call, as they fail apart: when a quorum is lost, writes fail and a link can still be looked up. A
//!   common circuit would end redirects, or be closed by reads while every write fails.
//! - A failure is [`StoreError::Unavailable`], or [`StoreError::Overloaded`] when the store itself says it; an answer that took more
//!   than half of its time ([`SLOW_DIVISOR`]) is as bad. [`StoreError::Unreadable`] is an answer. Whoever goes away before there is one
//!   says nothing, and leaves nothing behind.
//! - Claims and what else an instance does for itself ([`Kind::Background`]) pass by the circuits. They are rare, a few at a time, and
//!   pause by themselves, so that refusing them would spare the store nothing; a refused claim would cost its block, though, and an
//!   instance that stops must at least try to hand its blocks back.
//!
//! Own code, and not a library: `failsafe` 1.3 and `recloser` 1.4 know failures only and let any number of probes through;
//! `tower-resilience-circuitbreaker` 0.14 knows slowness and bounds its probes, but keeps every call of the window in a list that
//! it goes through at each call, counts a slow probe as a success and calls begun before it opened as probes, never lengthens its
//! pause, reads the system's clock, and guards a `tower` service of one request type.

use std::{num::NonZeroU32, time::Duration};

use parking_lot::Mutex;
use tokio::time::Instant;

use super::{Call, Guard, Kind, TimeoutSettings, metrics};
use crate::{outage::Outage, store::StoreError};

mod circuit;
mod window;

use circuit::{Circuit, Ticket, Verdict};

/// A call that took its whole time divided by this, or longer, was slow.
const SLOW_DIVISOR: u32 = 2;

const PROBES: NonZeroU32 = NonZeroU32::new(3).expect("three is not zero");

/// When a circuit opens, and how it closes.
#[derive(Debug, Clone)]
pub struct BreakerSettings {
    /// How far back calls count: 10 s by default. An outage is noticed in part of it, and a hiccup of a second is diluted.
    pub window: Duration,
    /// With fewer calls in the window nothing opens: 20 by default, so that a few bad ones of few are no verdict. What is rarer has
    /// its deadlines alone.
    pub calls_min: u64,
    /// The share of failed and slow calls that opens: 50 by default, in percent. One of three nodes that hangs makes about a third
    /// of all calls bad until its neighbours notice, which is no reason to refuse the rest.
    pub bad_percent: u32,
    /// Probes that are let through, at most so many at once, and must all be good: 3 by default.
    pub probes: NonZeroU32,
    /// The first pause before a probe: 250 ms by default. Each is shortened at random by up to a half, so that instances do not probe
    /// together.
    pub pause_min: Duration,
    /// The longest pause, to which it doubles with each failed probe: 2 s by default, which is how much later than the store calls may
    /// be served again.
    pub pause_max: Duration,
}

impl Default for BreakerSettings {
    fn default() -> Self {
        BreakerSettings {
            window: Duration::from_secs(10),
            calls_min: 20,
            bad_percent: 50,
            probes: PROBES,
            pause_min: Duration::from_millis(250),
            pause_max: Duration::from_secs(2),
        }
    }
}

/// What a circuit does with calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// All pass.
    Closed,
    /// None passes.
    Open,
    /// A few pass, as probes.
    HalfOpen,
}

impl State {
    pub const ALL: [State; 3] = [State::Closed, State::Open, State::HalfOpen];

    /// The label of a metric.
    pub fn name(self) -> &'static str {
        match self {
            State::Closed => "closed",
            State::Open => "open",
            State::HalfOpen => "half_open",
        }
    }
}

/// See the module.
#[derive(Debug)]
pub struct Breaker {
    look_ups: Switch,
    reads: Switch,
    writes: Switch,
    scans: Switch,
}

impl Breaker {
    /// A breaker whose circuits are closed. What is slow follows from the deadlines in `timeouts`.
    pub fn new(settings: &BreakerSettings, timeouts: &TimeoutSettings) -> Self {
        let switch = |kind| Switch::new(kind, settings, timeouts.of(kind) / SLOW_DIVISOR);
        Breaker {
            look_ups: switch(Kind::LookUp),
            reads: switch(Kind::Read),
            writes: switch(Kind::Write),
            scans: switch(Kind::Scan),
        }
    }

    fn switch(&self, kind: Kind) -> Option<&Switch> {
        match kind {
            Kind::LookUp => Some(&self.look_ups),
            Kind::Read => Some(&self.reads),
            Kind::Write => Some(&self.writes),
            Kind::Scan => Some(&self.scans),
            Kind::Background => None,
        }
    }
}

impl Guard for Breaker {
    async fn around<T: Send>(
        &self,
        call: Call,
        work: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        let Some(switch) = self.switch(call.kind()) else {
            return work.await;
        };
        let pass = switch.admit()?;
        let result = work.await;
        pass.ended(&result);
        result
    }
}

/// A circuit that calls go through, and what is told of it.
#[derive(Debug)]
struct Switch {
    kind: Kind,
    slow_after: Duration,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    circuit: Circuit,
    outage: Outage,
}

impl Switch {
    fn new(kind: Kind, settings: &BreakerSettings, slow_after: Duration) -> Self {
        metrics::circuit(kind);
        let circuit = Circuit::new(settings.clone(), Instant::now());
        Switch { kind, slow_after, inner: Mutex::new(Inner { circuit, outage: Outage::default() }) }
    }

    fn admit(&self) -> Result<Pass<'_>, StoreError> {
        let begun = Instant::now();
        let Some(ticket) = self.tell(begun, |circuit| circuit.admit(begun)) else {
            metrics::circuit_refused(self.kind);
            let message = "it failed or was slow too often of late, and is being probed until it is not";
            return Err(StoreError::Unavailable(message.into()));
        };
        Ok(Pass { switch: self, ticket: Some(ticket), begun })
    }

    /// Has the circuit do something, and tells of it if that changed its state. Under the lock, so that what is told is in order.
    fn tell<R>(&self, now: Instant, act: impl FnOnce(&mut Circuit) -> R) -> R {
        let inner = &mut *self.inner.lock();
        let before = inner.circuit.state();
        let result = act(&mut inner.circuit);
        let after = inner.circuit.state();
        if after != before {
            metrics::circuit_changed(self.kind, after);
            self.log(after, &mut inner.outage, now);
        }
        result
    }

    /// Once when it opens, a reminder now and then while probes fail, and once when it closes.
    fn log(&self, state: State, outage: &mut Outage, now: Instant) {
        let calls = self.kind.name();
        match state {
            State::Open => {
                if let Some(failures) = outage.failed(now) {
                    let failed_probes = failures - 1;
                    tracing::warn!(
                        calls,
                        failed_probes,
                        "the link store fails or is slow; calls are refused until it is not"
                    );
                }
            }
            State::HalfOpen => tracing::debug!(calls, "the link store is probed"),
            State::Closed => {
                if let Some(over) = outage.answered(now) {
                    tracing::info!(calls, refused_for_ms = over.lasted.as_millis(), "the link store answers again");
                }
            }
        }
    }
}

/// A call that was let through. Dropped before its end, it says nothing about the store.
struct Pass<'a> {
    switch: &'a Switch,
    ticket: Option<Ticket>,
    begun: Instant,
}

impl Pass<'_> {
    fn ended<T>(mut self, result: &Result<T, StoreError>) {
        let failed = matches!(result, Err(StoreError::Unavailable(_) | StoreError::Overloaded));
        let bad = failed || self.begun.elapsed() >= self.switch.slow_after;
        self.give_back(if bad { Verdict::Bad } else { Verdict::Good });
    }

    fn give_back(&mut self, verdict: Verdict) {
        if let Some(ticket) = self.ticket.take() {
            let now = Instant::now();
            self.switch.tell(now, |circuit| circuit.ended(ticket, verdict, now));
        }
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        self.give_back(Verdict::Unknown);
    }
}

#[cfg(test)]
mod tests;
