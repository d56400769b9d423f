mod lease_store;
mod link_store;
mod model;
mod process;
mod rules;
mod state;

use std::time::Instant;

use stateright::{Checker, Model};

use model::{LeaseModel, NO_ID_TWICE};
use rules::{Bounds, ClaimForm, Faults, Leasing, Rules};

fn check(model: LeaseModel) {
    let started = Instant::now();
    let checker = model.checker().spawn_bfs().join();
    println!("{} states, {} steps, depth {}, {:?}", checker.unique_state_count(), checker.state_count(), checker.max_depth(), started.elapsed());
    if let Some(p) = checker.discovery(NO_ID_TWICE) { for a in p.into_actions() { println!("{a}"); } panic!(); }
    assert!(checker.is_done());
    checker.assert_properties();
}

#[test]
fn try_one() {
    let e = |k: &str, d: u8| std::env::var(k).map_or(d, |v| v.parse().unwrap());
    let bounds = Bounds { processes: e("P", 2) as usize, attempts: e("A", 2) };
    let claim_form = if e("TWO", 0) == 1 { ClaimForm::TwoStatements } else { ClaimForm::OneStatement };
    let leasing = match e("DB", 0) { 0 => Leasing::Anything,
       n => Leasing::Database(Faults { expiry: n & 1 > 0, restore: n & 2 > 0, split_brain: n & 4 > 0 }) };
    check(LeaseModel { rules: Rules { claim_form, ..Rules::ALL }, leasing, bounds });
}
