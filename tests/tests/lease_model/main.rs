//! Why no code is given out twice: the argument of ARCHITECTURE.md as a model, of which a checker visits every state.
//!
//! ```text
//! an id is used only by the holder of its block's claim              process.rs, state.rs
//! a block's claim is granted once, by the store that holds the links link_store.rs
//! a claim handed back names the first unused id, conditional on
//! the owner                                                          link_store.rs, queue.rs
//! leases may overlap, expire, be forgotten and come twice            lease_store.rs, rules.rs
//! ```
//!
//! A state (`state.rs`) is what the processes know, the claims in the link store, the statements on their way to it,
//! the lease store, and which ids were used. A step (`model.rs`) is one of them moving on; which one is anybody's
//! choice, so any process may crash, or be paused for as long as its lease takes to expire and be leased to others,
//! and go on. There is no clock. `ablations.rs` drops the rules one by one, and finds how an id is then used twice.
//!
//! **How much is visited.** Blocks are two, of two ids: the first id of a block and a later one are all that the code
//! tells apart, and blocks meet only in the queue of one process, which holds two. An id used twice takes two grants
//! of one block: by two processes, or by two claims of one; a third process hands it back before, or is in between.
//! So two processes with two claims each, and three with one each: some 35,000 and 19,000 states. Two with three
//! claims each were visited too, some 514,000 states: they show nothing new, and take twenty times as long. That is
//! where the lease store may do anything at any moment, which is more than any database can. A database that keeps
//! its word but for some faults is modelled for the ablations, which have to fail by what happens in life, and to see
//! that such a database does what it should.
//!
//! **What is left out.** The link store forgets nothing that it answered: if it is put back to an older state, its
//! links are lost as well as its claims, and a process that runs meanwhile holds claims that the store knows nothing
//! of. A look at a claim that shows an older state is left out, as it can only miss a claim: attempts are told apart,
//! and only the process itself ends its claim. That every process is another owner is taken from random UUIDs, and
//! that no two ids make one code from FF1, which is a permutation.

mod ablations;
mod checking;
mod history;
mod lease_store;
mod link_store;
mod model;
mod process;
mod queue;
mod rules;
mod state;

use checking::holds;
use model::LeaseModel;
use rules::{Bounds, ClaimForm, Faults, Leasing, Rules};

fn holds_whatever_is_leased(claim_form: ClaimForm, bounds: Bounds) {
    holds(LeaseModel { rules: Rules { claim_form, ..Rules::ALL }, leasing: Leasing::Anything, bounds });
}

#[test]
fn no_id_is_used_twice_by_two_processes() {
    holds_whatever_is_leased(ClaimForm::OneStatement, Bounds::TWO_PROCESSES);
}

#[test]
fn no_id_is_used_twice_by_three_processes() {
    holds_whatever_is_leased(ClaimForm::OneStatement, Bounds::THREE_PROCESSES);
}

#[test]
fn no_id_is_used_twice_by_two_processes_that_claim_in_two_statements() {
    holds_whatever_is_leased(ClaimForm::TwoStatements, Bounds::TWO_PROCESSES);
}

#[test]
fn no_id_is_used_twice_by_three_processes_that_claim_in_two_statements() {
    holds_whatever_is_leased(ClaimForm::TwoStatements, Bounds::THREE_PROCESSES);
}

fn holds_with_a_database(faults: Faults) {
    let leasing = Leasing::Database(faults);
    holds(LeaseModel { rules: Rules::ALL, leasing, bounds: Bounds { processes: 2, attempts: 1 } });
}

#[test]
fn no_id_is_used_twice_when_leases_expire_and_a_copy_is_restored() {
    holds_with_a_database(Faults { expiry: true, restore: true, ..Faults::NONE });
}

#[test]
fn no_id_is_used_twice_when_a_copy_runs_beside_the_database() {
    holds_with_a_database(Faults { split_brain: true, ..Faults::NONE });
}
