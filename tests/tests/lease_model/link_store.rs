//! The claims in the link store: `shortener/src/store/claims.rs` is the contract,
//! `shortener/src/store/sqlite/claims.rs` the statements that [`Row::apply`] stands for. Every statement is one step:
//! that is what a transaction is.

use std::fmt;

use crate::rules::{ClaimForm, Rules};

/// Blocks there are, and the ids in each.
pub const BLOCKS: usize = 2;
pub const BLOCK_IDS: u8 = 2;

/// A block, by its number.
pub type Block = u8;

/// A process, from start to end: 0 for A, 1 for B.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Owner(pub u8);

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", char::from(b'A' + self.0))
    }
}

/// One call of `Claims::claim`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Attempt {
    pub owner: Owner,
    pub number: u8,
}

/// A row of the table `claims`; ids count from the start of the block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Row {
    Absent,
    Held { by: Attempt, first_unused: u8 },
    HandedBack { first_unused: u8 },
}

/// A statement on its way to the link store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Request {
    /// Claims a block.
    Claim { attempt: Attempt, block: Block },
    /// The second statement of a claim, once the first has seen a block that was handed back.
    Take { attempt: Attempt, block: Block, seen: u8 },
    /// Hands a block back.
    HandBack { owner: Owner, block: Block, first_unused: u8 },
}

/// What the link store says to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    Granted {
        first_unused: u8,
    },
    Refused,
    /// The first of two statements found a block that was handed back.
    Seen {
        first_unused: u8,
    },
    /// A hand-back was carried out, or there was nothing to hand back.
    Done,
}

impl Request {
    pub fn owner(&self) -> Owner {
        match *self {
            Request::Claim { attempt, .. } | Request::Take { attempt, .. } => attempt.owner,
            Request::HandBack { owner, .. } => owner,
        }
    }

    pub fn block(&self) -> Block {
        match *self {
            Request::Claim { block, .. } | Request::Take { block, .. } | Request::HandBack { block, .. } => block,
        }
    }

    /// The call of `claim` that this is part of.
    pub fn attempt(&self) -> Option<Attempt> {
        match *self {
            Request::Claim { attempt, .. } | Request::Take { attempt, .. } => Some(attempt),
            Request::HandBack { .. } => None,
        }
    }
}

impl Row {
    /// Carries out a request, whole.
    pub fn apply(&mut self, request: Request, rules: &Rules) -> Answer {
        match request {
            Request::Claim { attempt, .. } => self.claim(attempt, rules.claim_form),
            Request::Take { attempt, seen, .. } => self.take(attempt, seen, rules.take_compares_first_unused),
            Request::HandBack { owner, first_unused, .. } => {
                self.hand_back(owner, first_unused, rules.hand_back_by_owner_only);
                Answer::Done
            }
        }
    }

    /// From which id on the block could be claimed now.
    pub fn claimable(&self) -> Option<u8> {
        match *self {
            Row::Absent => Some(0),
            Row::HandedBack { first_unused } if first_unused < BLOCK_IDS => Some(first_unused),
            Row::HandedBack { .. } | Row::Held { .. } => None,
        }
    }

    fn claim(&mut self, attempt: Attempt, form: ClaimForm) -> Answer {
        let Some(first_unused) = self.claimable() else { return Answer::Refused };
        if form == ClaimForm::TwoStatements && *self != Row::Absent {
            return Answer::Seen { first_unused };
        }
        *self = Row::Held { by: attempt, first_unused };
        Answer::Granted { first_unused }
    }

    fn take(&mut self, attempt: Attempt, seen: u8, compares: bool) -> Answer {
        let Row::HandedBack { first_unused } = *self else { return Answer::Refused };
        if compares && first_unused != seen {
            return Answer::Refused;
        }
        *self = Row::Held { by: attempt, first_unused };
        Answer::Granted { first_unused: seen }
    }

    fn hand_back(&mut self, owner: Owner, at: u8, by_owner_only: bool) {
        let Row::Held { by, first_unused } = *self else { return };
        if (by.owner == owner || !by_owner_only) && (first_unused..=BLOCK_IDS).contains(&at) {
            *self = Row::HandedBack { first_unused: at };
        }
    }
}
