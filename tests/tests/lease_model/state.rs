//! All there is at one moment, and what each step does to it.

use std::collections::BTreeSet;

use crate::{
    lease_store::LeaseStore,
    link_store::{Answer, Attempt, BLOCK_IDS, BLOCKS, Block, Owner, Request, Row},
    process::{Phase, Process},
    rules::{Bounds, Leasing, Rules},
};

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    pub processes: Vec<Process>,
    pub claims: [Row; BLOCKS],
    /// Requests that were ever sent to the link store. Each may be carried out at any later moment, or never, or
    /// again: it may be slow, get lost, or be repeated by whoever sent it, or by the network; and whoever sent it may
    /// be dead by then.
    pub sent: BTreeSet<Request>,
    /// `None` where anything may be leased: see [`Leasing::Anything`].
    pub leases: Option<LeaseStore>,
    pub used: [[bool; BLOCK_IDS as usize]; BLOCKS],
    /// The end of everything: a code was given out twice.
    pub used_twice: bool,
}

impl State {
    pub fn new(leasing: &Leasing, bounds: Bounds) -> Self {
        State {
            processes: vec![Process::default(); bounds.processes],
            claims: [Row::Absent; BLOCKS],
            sent: BTreeSet::new(),
            leases: match leasing {
                Leasing::Anything => None,
                Leasing::Database(_) => Some(LeaseStore::new(bounds.processes)),
            },
            used: Default::default(),
            used_twice: false,
        }
    }

    pub fn owners(&self) -> impl Iterator<Item = Owner> + use<> {
        (0..self.processes.len() as u8).map(Owner)
    }

    pub fn process(&self, owner: Owner) -> &Process {
        &self.processes[usize::from(owner.0)]
    }

    pub fn process_mut(&mut self, owner: Owner) -> &mut Process {
        &mut self.processes[usize::from(owner.0)]
    }

    /// Processes are named in the order in which they start: with any other names, all would be the same.
    pub fn is_turn_of(&self, owner: Owner) -> bool {
        owner.0 == 0 || self.process(Owner(owner.0 - 1)).phase != Phase::NotStarted
    }

    /// Whether a request for a claim of the block was ever sent.
    pub fn is_touched(&self, block: Block) -> bool {
        self.claim_of(block) != Row::Absent || self.sent.iter().any(|request| request.block() == block)
    }

    pub fn claim_of(&self, block: Block) -> Row {
        self.claims[usize::from(block)]
    }

    pub fn begin_claim(&mut self, owner: Owner, block: Block) {
        let process = self.process_mut(owner);
        process.phase = Phase::Running;
        process.attempts += 1;
        let attempt = Attempt { owner, number: process.attempts };
        self.send(Request::Claim { attempt, block });
    }

    /// The end of a process begins. Without claims, blocks in use cannot be told from used ones, and are not given
    /// back.
    pub fn stop(&mut self, owner: Owner, rules: &Rules) {
        let process = self.process_mut(owner);
        if !rules.claims {
            process.claimed.clear();
        }
        process.stop();
    }

    /// Names the first unused id of the first claimed block.
    pub fn begin_hand_back(&mut self, owner: Owner) {
        if let Some(&claimed) = self.process(owner).claimed.front() {
            self.send(Request::HandBack { owner, block: claimed.block, first_unused: claimed.first_unused });
        }
    }

    fn send(&mut self, request: Request) {
        self.sent.insert(request);
        self.process_mut(request.owner()).awaits = Some(request);
    }

    /// Carries out a request. Its answer comes at once or never: one that comes late is as good as a process that is
    /// slow.
    pub fn apply(&mut self, request: Request, answered: bool, rules: &Rules) {
        let answer = self.claims[usize::from(request.block())].apply(request, rules);
        if answered {
            self.hear(request, answer);
        }
    }

    fn hear(&mut self, request: Request, answer: Answer) {
        let block = request.block();
        let process = self.process_mut(request.owner());
        process.awaits = None;
        match (answer, request.attempt()) {
            (Answer::Granted { first_unused }, _) => process.granted(block, first_unused),
            (Answer::Seen { first_unused }, Some(attempt)) => {
                self.send(Request::Take { attempt, block, seen: first_unused });
            }
            (Answer::Refused | Answer::Seen { .. }, _) => process.skip(block),
            (Answer::Done, _) => process.let_go(block),
        }
    }

    /// From which id on the block of an unanswered claim is the process's own, as far as a look at the row tells.
    pub fn read_back(&self, attempt: Attempt, block: Block, undecided: bool, rules: &Rules) -> Option<u8> {
        match self.claim_of(block) {
            // The claim was accepted by a replica that a plain read happens to ask, and a later one may be decided in
            // its place.
            row if undecided => row.claimable(),
            Row::Held { by, first_unused } => {
                let is_ours = if rules.attempts_told_apart { by == attempt } else { by.owner == attempt.owner };
                is_ours.then_some(first_unused)
            }
            Row::Absent | Row::HandedBack { .. } => None,
        }
    }

    pub fn hear_read_back(&mut self, owner: Owner, block: Block, first_unused: u8) {
        let process = self.process_mut(owner);
        process.awaits = None;
        process.granted(block, first_unused);
    }

    pub fn use_id(&mut self, owner: Owner) {
        if let Some((block, id)) = self.process_mut(owner).take() {
            let used = &mut self.used[usize::from(block)][usize::from(id)];
            self.used_twice |= std::mem::replace(used, true);
        }
    }

    /// Makes one of states that differ in nothing that matters.
    pub fn settle(&mut self, attempts_max: u8) {
        for process in &mut self.processes {
            if self.leases.is_none() {
                process.to_give_back.clear();
            }
            process.settle(attempts_max);
        }
    }

    /// Whether a process may take an id from its queue now.
    pub fn may_use(&self, owner: Owner, rules: &Rules) -> bool {
        let process = self.process(owner);
        let is_open = match process.phase {
            Phase::Running => true,
            Phase::Stopping => !rules.stop_before_hand_back,
            Phase::NotStarted | Phase::Gone => false,
        };
        is_open && !process.claimed.is_empty()
    }
}
