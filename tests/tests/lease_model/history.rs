//! What a step is called in the history of a failure.

use std::fmt;

use crate::{
    link_store::{Attempt, Request},
    model::Action,
};

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Action::Lease { owner, database, answered } => {
                write!(f, "{owner} leases a block from database {database}{}", unheard(answered))
            }
            Action::Claim { owner, block } => write!(f, "{owner} claims block {block}"),
            Action::GoAhead { owner, block } => write!(f, "{owner} has block {block} by its lease alone"),
            Action::Apply { request, answered } => write!(f, "{request}{}", unheard(answered)),
            Action::ReadBack { owner, undecided: false } => {
                write!(f, "{owner} hears nothing, reads the claim back and takes it for its own")
            }
            Action::ReadBack { owner, undecided: true } => {
                write!(f, "{owner} hears nothing, reads its claim back undecided, and takes it for granted")
            }
            Action::Skip { owner } => write!(f, "{owner} hears nothing and skips the block"),
            Action::Use { owner } => write!(f, "{owner} uses its next id"),
            Action::Stop { owner } => write!(f, "{owner} stops"),
            Action::HandBack { owner } => write!(f, "{owner} hands back its block"),
            Action::KeepClaim { owner } => write!(f, "{owner} gives up to hand its block back"),
            Action::GiveBack { owner, database, block } => {
                write!(f, "{owner} gives the lease of block {block} back to database {database}")
            }
            Action::Crash { owner } => write!(f, "{owner} crashes"),
            Action::Expire { database, block } => {
                write!(f, "database {database} lets the lease of block {block} expire")
            }
            Action::TakeCopy => write!(f, "the lease database is copied"),
            Action::Restore => write!(f, "the lease database is restored from the copy"),
            Action::Split => write!(f, "the copy is started beside the lease database"),
        }
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Request::Claim { attempt, block } => {
                let Attempt { owner, number } = attempt;
                write!(f, "the store carries out {owner}'s claim {number}, of block {block}")
            }
            Request::Take { attempt, block, seen } => {
                let Attempt { owner, number } = attempt;
                write!(
                    f,
                    "the store gives {owner}, for its claim {number}, block {block} that was seen free from id {seen}"
                )
            }
            Request::HandBack { owner, block, first_unused } => {
                write!(f, "the store carries out {owner}'s hand-back of block {block} from id {first_unused}")
            }
        }
    }
}

fn unheard(answered: bool) -> &'static str {
    if answered { "" } else { ", and nobody hears of it" }
}
