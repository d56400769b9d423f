//! The guards' metrics: each is named, described and recorded here.

use metrics::{Gauge, counter, describe_counter, describe_gauge, gauge};

use super::{Call, Kind, breaker::State};

/// Counter: calls that the store did not answer in time, by `call`.
const LATE: &str = "septet_store_calls_late_total";
/// Gauge: calls under way, by `budget`.
const IN_FLIGHT: &str = "septet_store_calls_in_flight";
/// Gauge: calls that may be under way, by `budget`.
const IN_FLIGHT_MAX: &str = "septet_store_calls_in_flight_max";
/// Counter: calls refused as so many were under way, by `budget`.
const SHED: &str = "septet_store_calls_shed_total";
/// Gauge: 1 for the state that a circuit is in, 0 for the others; by `kind` of call and `state`.
const CIRCUIT: &str = "septet_store_circuit_state";
/// Counter: changes of a circuit's state, by `kind` of call and the state `to` which it went.
const CIRCUIT_CHANGES: &str = "septet_store_circuit_changes_total";
/// Counter: calls refused by a circuit that was not closed, by `kind` of call.
const CIRCUIT_REFUSED: &str = "septet_store_circuit_refused_total";

pub(super) fn describe() {
    describe_counter!(LATE, "Calls that the link store did not answer in time, by call");
    describe_gauge!(IN_FLIGHT, "Calls of the link store under way, by budget");
    describe_gauge!(IN_FLIGHT_MAX, "Calls of the link store that may be under way; one more is answered 503");
    describe_counter!(SHED, "Calls of the link store refused as too many were under way, by budget");
    describe_gauge!(CIRCUIT, "1 for the state that the link store's circuit is in, by kind of call and state");
    describe_counter!(
        CIRCUIT_CHANGES,
        "Changes of the state of the link store's circuits, by kind of call and new state"
    );
    describe_counter!(CIRCUIT_REFUSED, "Calls of the link store refused as their circuit was open, by kind of call");
    // An alert on a rate needs the counter to be there before it first counts.
    for call in Call::ALL {
        counter!(LATE, "call" => call.name()).increment(0);
    }
}

pub(super) fn late(call: Call) {
    counter!(LATE, "call" => call.name()).increment(1);
}

/// The gauge of what is under way of a budget.
pub(super) fn budget(name: &'static str, max: usize) -> Gauge {
    gauge!(IN_FLIGHT_MAX, "budget" => name).set(max as f64);
    counter!(SHED, "budget" => name).increment(0);
    let in_flight = gauge!(IN_FLIGHT, "budget" => name);
    in_flight.set(0);
    in_flight
}

pub(super) fn shed(budget: &'static str) {
    counter!(SHED, "budget" => budget).increment(1);
}

/// A circuit, as it is at first.
pub(super) fn circuit(kind: Kind) {
    counter!(CIRCUIT_REFUSED, "kind" => kind.name()).increment(0);
    for state in State::ALL {
        counter!(CIRCUIT_CHANGES, "kind" => kind.name(), "to" => state.name()).increment(0);
    }
    show_state(kind, State::Closed);
}

pub(super) fn circuit_changed(kind: Kind, to: State) {
    counter!(CIRCUIT_CHANGES, "kind" => kind.name(), "to" => to.name()).increment(1);
    show_state(kind, to);
}

fn show_state(kind: Kind, now: State) {
    for state in State::ALL {
        gauge!(CIRCUIT, "kind" => kind.name(), "state" => state.name()).set(u8::from(state == now));
    }
}

pub(super) fn circuit_refused(kind: Kind) {
    counter!(CIRCUIT_REFUSED, "kind" => kind.name()).increment(1);
}
