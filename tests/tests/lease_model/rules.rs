//! What is obeyed, what may go wrong, and how much of it is tried.

/// The rules that keep ids unique. The code obeys all of them; an ablation drops one.
#[derive(Clone, Debug)]
pub struct Rules {
    /// A block is claimed in the link store before its first id is used. Without: whoever leases a block uses it.
    pub claims: bool,
    /// What a claim is made of.
    pub claim_form: ClaimForm,
    /// Two statements only: the second is conditional on the first unused id that the first one saw, and not merely on
    /// the block having no owner.
    pub take_compares_first_unused: bool,
    /// A claim without answer is read back serially: what is still undecided is not seen.
    pub serial_read_back: bool,
    /// A claim that is read back is ours only if it is of this very attempt, and not of an earlier one of this process.
    pub attempts_told_apart: bool,
    /// A hand-back changes nothing unless the block's claim is of the process that hands it back.
    pub hand_back_by_owner_only: bool,
    /// No id of a block is used once its first unused id was named.
    pub stop_before_hand_back: bool,
}

/// How a claim is carried out by the link store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClaimForm {
    /// SQLite: one statement takes a block that is new or was handed back (`shortener/src/store/sqlite/claims.rs`).
    OneStatement,
    /// CQL: `INSERT ... IF NOT EXISTS`, and if that shows a block handed back, an `UPDATE ... IF` that takes it.
    TwoStatements,
}

impl Rules {
    pub const ALL: Rules = Rules {
        claims: true,
        claim_form: ClaimForm::OneStatement,
        take_compares_first_unused: true,
        serial_read_back: true,
        attempts_told_apart: true,
        hand_back_by_owner_only: true,
        stop_before_hand_back: true,
    };
}

/// What the lease store does to those who lease.
#[derive(Clone, Debug)]
pub enum Leasing {
    /// Its worst: anybody may be leased any block at any moment. Whatever a database does that expires leases, loses
    /// commits, is restored from copies however old or runs any number of times, this does as well; so it needs no
    /// state.
    Anything,
    /// A database that keeps its word ([`crate::lease_store`]), but for these faults.
    Database(Faults),
}

#[derive(Clone, Copy, Debug)]
pub struct Faults {
    /// Any lease may expire at any moment: no clock is trusted, and a process may be paused for as long as you like.
    pub expiry: bool,
    /// A copy is taken at some moment, and put in the place of the database at a later one: a backup, or a failover
    /// that lost commits.
    pub restore: bool,
    /// A copy is taken at some moment, and started beside the database at a later one.
    pub split_brain: bool,
}

impl Faults {
    pub const NONE: Faults = Faults { expiry: false, restore: false, split_brain: false };
}

/// How much is tried. Everything within is tried.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Starts of instances. All run at once, or one after the other: an instance that crashes and starts again is two.
    pub processes: usize,
    /// Claims that one process may begin: two for two blocks, or for one block twice.
    pub attempts: u8,
}

impl Bounds {
    pub const TWO_PROCESSES: Bounds = Bounds { processes: 2, attempts: 2 };
    pub const THREE_PROCESSES: Bounds = Bounds { processes: 3, attempts: 1 };
}
