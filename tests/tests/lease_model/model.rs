//! The model: what may happen next, and what must hold.

use stateright::{Model, Property};

use crate::{
    lease_store::Backup,
    link_store::{BLOCK_IDS, BLOCKS, Block, Owner, Request, Row},
    process::Phase,
    rules::{Bounds, Faults, Leasing, Rules},
    state::State,
};

pub const NO_ID_TWICE: &str = "no id is used twice";

#[derive(Clone, Debug)]
pub struct LeaseModel {
    pub rules: Rules,
    pub leasing: Leasing,
    pub bounds: Bounds,
}

/// A step. Nothing says when, or whether, it is taken: a process that takes none is paused, or slow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Lease {
        owner: Owner,
        database: usize,
        answered: bool,
    },
    /// Sends the claim.
    Claim {
        owner: Owner,
        block: Block,
    },
    /// Without claims: the lease is enough.
    GoAhead {
        owner: Owner,
        block: Block,
    },
    /// The link store carries out what was sent.
    Apply {
        request: Request,
        answered: bool,
    },
    ReadBack {
        owner: Owner,
        undecided: bool,
    },
    /// A claim has no answer: its block is taken to be somebody else's.
    Skip {
        owner: Owner,
    },
    Use {
        owner: Owner,
    },
    Stop {
        owner: Owner,
    },
    /// Sends the hand-back of the first claimed block.
    HandBack {
        owner: Owner,
    },
    /// A hand-back has no answer: the block is left claimed.
    KeepClaim {
        owner: Owner,
    },
    GiveBack {
        owner: Owner,
        database: usize,
        block: Block,
    },
    Crash {
        owner: Owner,
    },
    Expire {
        database: usize,
        block: Block,
    },
    TakeCopy,
    Restore,
    Split,
}

impl Model for LeaseModel {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State::new(&self.leasing, self.bounds)]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if state.used_twice {
            return;
        }
        for owner in state.owners() {
            self.actions_of(owner, state, actions);
        }
        for &request in &state.sent {
            let awaited = state.process(request.owner()).awaits == Some(request);
            actions.extend(awaited.then_some(Action::Apply { request, answered: true }));
            actions.push(Action::Apply { request, answered: false });
        }
        if let Leasing::Database(faults) = self.leasing {
            lease_store_faults(faults, state, actions);
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        let rules = &self.rules;
        match action {
            Action::Claim { owner, block } => state.begin_claim(owner, block),
            Action::GoAhead { owner, block } => state.process_mut(owner).granted(block, 0),
            Action::Apply { request, answered } => state.apply(request, answered, rules),
            Action::ReadBack { owner, undecided } => {
                let request = last.process(owner).awaits?;
                let first_unused = last.read_back(request.attempt()?, request.block(), undecided, rules)?;
                state.hear_read_back(owner, request.block(), first_unused);
            }
            Action::Skip { owner } => state.process_mut(owner).skip(last.process(owner).awaits?.block()),
            Action::Use { owner } => state.use_id(owner),
            Action::Stop { owner } => state.stop(owner, rules),
            Action::HandBack { owner } => state.begin_hand_back(owner),
            Action::KeepClaim { owner } => state.process_mut(owner).let_go(last.process(owner).awaits?.block()),
            Action::Crash { owner } => state.process_mut(owner).crash(),
            _ => lease_store_step(&mut state, action)?,
        }
        state.settle(self.bounds.attempts);
        (state != *last).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut properties = vec![
            Property::always(NO_ID_TWICE, |_, state: &State| !state.used_twice),
            Property::sometimes("all ids are used", |_, state: &State| state.used.iter().flatten().all(|used| *used)),
        ];
        if self.rules.claims {
            properties.extend([
                Property::sometimes("the rest of a block is used after it was handed back", |_, state: &State| {
                    (0..BLOCKS).any(|block| is_used_on(state, block))
                }),
                Property::sometimes("a block is claimed that somebody else holds", |_, state: &State| {
                    state.processes.iter().filter_map(|process| process.awaits).any(|request| {
                        let row = state.claim_of(request.block());
                        request.attempt().is_some()
                            && matches!(row, Row::Held { by, .. } if by.owner != request.owner())
                    })
                }),
            ]);
        }
        if matches!(self.leasing, Leasing::Database(Faults { expiry: true, .. })) {
            properties.push(Property::sometimes("a block in use is leased to somebody else", |_, state: &State| {
                state.owners().any(|owner| is_overtaken(state, owner))
            }));
        }
        properties
    }
}

impl LeaseModel {
    fn actions_of(&self, owner: Owner, state: &State, actions: &mut Vec<Action>) {
        let process = state.process(owner);
        if process.wants_block(self.bounds.attempts) && state.is_turn_of(owner) {
            self.actions_to_get_a_block(owner, state, actions);
        }
        if matches!(process.phase, Phase::NotStarted | Phase::Gone) {
            return;
        }
        if process.awaits.is_some_and(|request| request.attempt().is_some()) {
            actions.push(Action::ReadBack { owner, undecided: false });
            if !self.rules.serial_read_back {
                actions.push(Action::ReadBack { owner, undecided: true });
            }
            actions.push(Action::Skip { owner });
        }
        if state.may_use(owner, &self.rules) {
            actions.push(Action::Use { owner });
        }
        match process.phase {
            Phase::Running => actions.push(Action::Stop { owner }),
            Phase::Stopping if process.awaits.is_none() => actions.push(Action::HandBack { owner }),
            Phase::Stopping if process.awaits.is_some_and(|request| request.attempt().is_none()) => {
                actions.push(Action::KeepClaim { owner });
            }
            Phase::NotStarted | Phase::Stopping | Phase::Gone => {}
        }
        for database in 0..databases(state) {
            let to_give_back = process.to_give_back.iter();
            actions.extend(to_give_back.map(|&block| Action::GiveBack { owner, database, block }));
        }
        actions.push(Action::Crash { owner });
    }

    fn actions_to_get_a_block(&self, owner: Owner, state: &State, actions: &mut Vec<Action>) {
        match (&self.leasing, state.process(owner).leased) {
            (Leasing::Anything, _) => {
                // Blocks are named in the order in which they are first claimed: with any other names, all would be
                // the same.
                let touched = (0..BLOCKS as Block).take_while(|block| *block == 0 || state.is_touched(block - 1));
                actions.extend(touched.map(|block| Action::Claim { owner, block }));
            }
            (Leasing::Database(_), Some(block)) if self.rules.claims => actions.push(Action::Claim { owner, block }),
            (Leasing::Database(_), Some(block)) => actions.push(Action::GoAhead { owner, block }),
            (Leasing::Database(_), None) => {
                for database in 0..databases(state) {
                    actions.push(Action::Lease { owner, database, answered: true });
                    actions.push(Action::Lease { owner, database, answered: false });
                }
            }
        }
    }
}

fn databases(state: &State) -> usize {
    state.leases.as_ref().map_or(0, |leases| leases.databases.len())
}

fn lease_store_faults(faults: Faults, state: &State, actions: &mut Vec<Action>) {
    let Some(leases) = &state.leases else { return };
    if faults.expiry {
        for (database, records) in leases.databases.iter().enumerate() {
            let leased = (0..BLOCKS as Block).filter(|block| records.is_leased(*block));
            actions.extend(leased.map(|block| Action::Expire { database, block }));
        }
    }
    match leases.copy {
        Backup::NotTaken if faults.restore || faults.split_brain => actions.push(Action::TakeCopy),
        Backup::Taken(_) => {
            actions.extend(faults.restore.then_some(Action::Restore));
            actions.extend(faults.split_brain.then_some(Action::Split));
        }
        Backup::NotTaken | Backup::UsedUp => {}
    }
}

fn lease_store_step(state: &mut State, action: Action) -> Option<()> {
    let leases = state.leases.as_mut()?;
    match action {
        Action::Lease { owner, database, answered: true } => {
            let block = leases.lease(database, owner)?;
            state.process_mut(owner).leased(block);
        }
        Action::Lease { owner, database, answered: false } => {
            leases.lease_unanswered(database, owner);
            state.process_mut(owner).phase = Phase::Running;
        }
        Action::GiveBack { owner, database, block } => {
            leases.databases[database].give_back(block, owner);
            state.process_mut(owner).gave_back(block);
        }
        Action::Expire { database, block } => leases.databases[database].expire(block),
        Action::TakeCopy => leases.take_copy(),
        Action::Restore => leases.use_copy(false),
        Action::Split => leases.use_copy(true),
        _ => return None,
    }
    Some(())
}

/// Whether an id of the block was used by somebody to whom the block was granted from there on.
fn is_used_on(state: &State, block: usize) -> bool {
    let Row::Held { first_unused, .. } = state.claims[block] else { return false };
    first_unused > 0 && first_unused < BLOCK_IDS && state.used[block][usize::from(first_unused)]
}

/// Whether somebody else holds the lease of a block in use.
fn is_overtaken(state: &State, owner: Owner) -> bool {
    let Some(leases) = &state.leases else { return false };
    let others = state.owners().filter(|other| *other != owner);
    let claimed = &state.process(owner).claimed;
    others
        .flat_map(|other| leases.databases.iter().map(move |database| (other, database)))
        .any(|(other, database)| claimed.iter().any(|claimed| database.is_leased_to(claimed.block, other)))
}
