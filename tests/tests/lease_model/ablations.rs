//! Each rule dropped, alone: an id is then used twice, and the shortest way to that is written down. A lease database
//! whose leases expire is enough for most; where any block may be leased at any moment, leases are not told of.

use crate::{
    checking::{holds, shortest_failure},
    model::LeaseModel,
    rules::{Bounds, ClaimForm, Faults, Leasing, Rules},
};

const EXPIRY: Leasing = Leasing::Database(Faults { expiry: true, ..Faults::NONE });
const LEASES_ALONE: Rules = Rules { claims: false, ..Rules::ALL };

/// Another order of steps in the model may give another history of the same length.
fn fails(rules: Rules, leasing: Leasing, bounds: Bounds, history: &[&str]) {
    let found = shortest_failure(&LeaseModel { rules, leasing, bounds });
    assert_eq!(found, history, "\n{}\n", found.join("\n"));
}

#[test]
fn leases_alone_fail_when_a_copy_is_restored() {
    let leasing = Leasing::Database(Faults { restore: true, ..Faults::NONE });
    fails(
        LEASES_ALONE,
        leasing,
        Bounds::TWO_PROCESSES,
        &[
            "the lease database is copied",
            "A leases a block from database 0",
            "A has block 0 by its lease alone",
            "A uses its next id",
            "the lease database is restored from the copy",
            "B leases a block from database 0",
            "B has block 0 by its lease alone",
            "B uses its next id",
        ],
    );
}

#[test]
fn leases_alone_fail_when_a_copy_runs_beside_the_database() {
    let leasing = Leasing::Database(Faults { split_brain: true, ..Faults::NONE });
    fails(
        LEASES_ALONE,
        leasing,
        Bounds::TWO_PROCESSES,
        &[
            "the lease database is copied",
            "A leases a block from database 0",
            "A has block 0 by its lease alone",
            "A uses its next id",
            "the copy is started beside the lease database",
            "B leases a block from database 1",
            "B has block 0 by its lease alone",
            "B uses its next id",
        ],
    );
}

/// A is paused, or slow: nothing tells it that its lease is over before it uses the id.
#[test]
fn leases_alone_fail_when_leases_expire() {
    fails(
        LEASES_ALONE,
        EXPIRY,
        Bounds::TWO_PROCESSES,
        &[
            "A leases a block from database 0",
            "A has block 0 by its lease alone",
            "A uses its next id",
            "database 0 lets the lease of block 0 expire",
            "B leases a block from database 0",
            "B has block 0 by its lease alone",
            "B uses its next id",
        ],
    );
}

/// So it is for the faults that there are claims. (Every block that a process began is lost with it, and with its
/// lease.)
#[test]
fn leases_alone_would_do_if_none_expired_and_no_database_forgot() {
    let leasing = Leasing::Database(Faults::NONE);
    holds(LeaseModel { rules: LEASES_ALONE, leasing, bounds: Bounds { processes: 3, attempts: 2 } });
}

/// A's claim reached too few replicas to be decided, and B's is decided in its place. (Cassandra shows no plain read
/// a claim before it is decided; the rule does not rest on that.)
#[test]
fn a_claim_read_back_without_serial_consistency_fails() {
    let rules = Rules { serial_read_back: false, ..Rules::ALL };
    fails(
        rules,
        EXPIRY,
        Bounds::TWO_PROCESSES,
        &[
            "A leases a block from database 0",
            "A claims block 0",
            "A hears nothing, reads its claim back undecided, and takes it for granted",
            "A uses its next id",
            "database 0 lets the lease of block 0 expire",
            "B leases a block from database 0",
            "B claims block 0",
            "the store carries out B's claim 1, of block 0",
            "B uses its next id",
        ],
    );
}

/// A leases a block that it used up, and reads its own earlier claim.
#[test]
fn a_claim_read_back_that_may_be_of_an_earlier_attempt_fails() {
    let rules = Rules { attempts_told_apart: false, ..Rules::ALL };
    fails(
        rules,
        EXPIRY,
        Bounds::TWO_PROCESSES,
        &[
            "A leases a block from database 0",
            "A claims block 0",
            "the store carries out A's claim 1, of block 0",
            "A uses its next id",
            "A uses its next id",
            "database 0 lets the lease of block 0 expire",
            "A leases a block from database 0",
            "A claims block 0",
            "A hears nothing, reads the claim back and takes it for its own",
            "A uses its next id",
        ],
    );
}

/// A's hand-back is carried out twice, as it was repeated for want of an answer: the second time, the block is C's.
#[test]
fn a_hand_back_by_somebody_else_fails() {
    let rules = Rules { hand_back_by_owner_only: false, ..Rules::ALL };
    fails(
        rules,
        Leasing::Anything,
        Bounds::THREE_PROCESSES,
        &[
            "A claims block 0",
            "A stops",
            "B claims block 0",
            "C claims block 0",
            "the store carries out A's claim 1, of block 0",
            "A hands back its block",
            "the store carries out A's hand-back of block 0 from id 0, and nobody hears of it",
            "the store carries out C's claim 1, of block 0",
            "C uses its next id",
            "the store carries out A's hand-back of block 0 from id 0, and nobody hears of it",
            "the store carries out B's claim 1, of block 0",
            "B uses its next id",
        ],
    );
}

/// A goes on after it has named its first unused id.
#[test]
fn a_hand_back_before_the_end_fails() {
    let rules = Rules { stop_before_hand_back: false, ..Rules::ALL };
    fails(
        rules,
        EXPIRY,
        Bounds { processes: 2, attempts: 1 },
        &[
            "A leases a block from database 0",
            "A claims block 0",
            "A stops",
            "the store carries out A's claim 1, of block 0",
            "A hands back its block",
            "A uses its next id",
            "the store carries out A's hand-back of block 0 from id 0",
            "A gives the lease of block 0 back to database 0",
            "B leases a block from database 0",
            "B claims block 0",
            "the store carries out B's claim 1, of block 0",
            "B uses its next id",
        ],
    );
}

/// Between the two statements of A's claim, C takes the block, uses an id and hands it back.
#[test]
fn a_block_taken_from_an_id_that_was_seen_earlier_fails() {
    let rules = Rules { claim_form: ClaimForm::TwoStatements, take_compares_first_unused: false, ..Rules::ALL };
    fails(
        rules,
        Leasing::Anything,
        Bounds::THREE_PROCESSES,
        &[
            "A claims block 0",
            "B claims block 0",
            "B stops",
            "C claims block 0",
            "the store carries out B's claim 1, of block 0",
            "B hands back its block",
            "the store carries out B's hand-back of block 0 from id 0, and nobody hears of it",
            "the store carries out A's claim 1, of block 0",
            "the store carries out C's claim 1, of block 0",
            "the store gives C, for its claim 1, block 0 that was seen free from id 0",
            "C uses its next id",
            "C stops",
            "C hands back its block",
            "the store carries out C's hand-back of block 0 from id 1, and nobody hears of it",
            "the store gives A, for its claim 1, block 0 that was seen free from id 0",
            "A uses its next id",
        ],
    );
}
