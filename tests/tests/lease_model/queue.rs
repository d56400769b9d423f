//! The one step of the other model that is not one step in the code: a request takes an id while the allocator is
//! closed (`shortener/src/allocator/ready.rs`). Steps are those of the code between which another thread may run;
//! that all threads see them in one order is what `SeqCst` and the queue's own ordering are for.

use stateright::{Checker, HasDiscoveries, Model, Property};

const IDS: u8 = 4;
const TAKERS: usize = 2;
const NONE_TAKEN: &str = "no id that is handed back was taken";

/// What a request is about to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Taker {
    Idle,
    /// It saw the queue open.
    Looked,
    /// It has an id from the queue, and does not use it yet.
    Popped(u8),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct State {
    takers: [Taker; TAKERS],
    /// The queue's first id; those below were popped.
    first: u8,
    closed: bool,
    /// What `take_rest` popped first: the block is handed back from there on.
    handed_back_from: Option<u8>,
    taken: [bool; IDS as usize],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Look(usize),
    Pop(usize),
    Accept(usize),
    Close,
    PopRest,
}

#[derive(Clone)]
struct Queue {
    /// `accept` looks at `closed` again after the pop.
    looks_again: bool,
}

impl State {
    fn pop(&mut self) -> Option<u8> {
        let id = self.first;
        self.first = IDS.min(id + 1);
        (id < IDS).then_some(id)
    }
}

impl Model for Queue {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let takers = [Taker::Idle; TAKERS];
        vec![State { takers, first: 0, closed: false, handed_back_from: None, taken: Default::default() }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        actions.extend(state.takers.iter().enumerate().map(|(taker, at)| match at {
            Taker::Idle => Action::Look(taker),
            Taker::Looked => Action::Pop(taker),
            Taker::Popped(_) => Action::Accept(taker),
        }));
        actions.push(if state.closed { Action::PopRest } else { Action::Close });
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Look(taker) => state.takers[taker] = if last.closed { Taker::Idle } else { Taker::Looked },
            Action::Pop(taker) => state.takers[taker] = state.pop().map_or(Taker::Idle, Taker::Popped),
            Action::Accept(taker) => {
                if let Taker::Popped(id) = last.takers[taker]
                    && !(self.looks_again && last.closed)
                {
                    state.taken[usize::from(id)] = true;
                }
                state.takers[taker] = Taker::Idle;
            }
            Action::Close => state.closed = true,
            Action::PopRest => state.handed_back_from = last.handed_back_from.or(state.pop()),
        }
        (state != *last).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(NONE_TAKEN, |_, state: &State| {
                let from = state.handed_back_from.unwrap_or(IDS);
                !state.taken[usize::from(from)..].contains(&true)
            }),
            Property::sometimes("all ids are taken", |_, state: &State| state.taken == [true; IDS as usize]),
            Property::sometimes("some ids are taken, and the rest is handed back", |_, state: &State| {
                state.taken[0] && state.handed_back_from == Some(1)
            }),
            Property::sometimes("an id is lost: popped too late to be taken", |_, state: &State| {
                state.takers == [Taker::Idle; TAKERS] && !state.taken[0] && state.handed_back_from == Some(1)
            }),
        ]
    }
}

#[test]
fn no_id_is_taken_that_is_handed_back() {
    let checker = Queue { looks_again: true }.checker().spawn_bfs().join();
    println!("{} states", checker.unique_state_count());
    assert!(checker.is_done());
    checker.assert_properties();
}

/// The request looked before the queue was closed, and popped after the first id that is handed back was.
#[test]
fn a_queue_looked_at_only_before_the_pop_fails() {
    let search = Queue { looks_again: false }.checker().finish_when(HasDiscoveries::AnyFailures);
    let found = search.spawn_bfs().join().discovery(NONE_TAKEN).expect("an id is taken that is handed back");
    println!("{found:?}");
}
