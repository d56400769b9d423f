//! Runs of the checker.

use stateright::{Checker, Model};

use crate::model::{LeaseModel, NO_ID_TWICE};

/// Visits every state there is, and finds that no id is used twice in any, and that whatever is interesting does
/// happen.
pub fn holds(model: LeaseModel) {
    let asked = format!("{model:?}");
    let checker = model.checker().spawn_bfs().join();
    println!("{} states, {} steps: {asked}", checker.unique_state_count(), checker.state_count());
    // The search ends early only when every property has an example or a counterexample, and the first must have none.
    assert!(checker.is_done());
    checker.assert_properties();
}

/// The shortest history in which an id is used twice, one step a line.
pub fn shortest_failure(model: &LeaseModel) -> Vec<String> {
    let mut shortest = failure(model, usize::MAX).expect("an id is used twice");
    // A search ends some time after its first discovery, and keeps the last.
    while let Some(shorter) = failure(model, shortest.len() + 1) {
        shortest = shorter;
    }
    shortest
}

/// A history of fewer steps than `depth - 1`.
fn failure(model: &LeaseModel, depth: usize) -> Option<Vec<String>> {
    let search = model.clone().checker().finish_when(stateright::HasDiscoveries::AnyFailures).target_max_depth(depth);
    let found = search.spawn_bfs().join().discovery(NO_ID_TWICE)?;
    Some(found.into_actions().iter().map(ToString::to_string).collect())
}
