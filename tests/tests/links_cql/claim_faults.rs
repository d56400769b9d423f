//! Claims whose process is killed between any two statements, and whose answers and statements get lost: no id is ever granted twice.

use shortener::store::{Claim, Claims, Pinned, StoreError, conformance::ID_SPACE, scylla::ScyllaStore};
use token_service::{Block, IdSpace, Owner};

use crate::keyspace::Keyspace;

/// More statements than any of these operations has.
const STATEMENTS_MAX: u32 = 8;

/// One block, and which of its ids may have been used.
struct Used {
    block: Block,
    /// Every id before it may have been.
    end: u64,
}

impl Used {
    fn none_of(block: u32) -> Self {
        Used { block: Block(block), end: Block(block).first_id() }
    }

    /// What was granted was not used before, and is from now on, up to `end`.
    fn grant(&mut self, claim: Claim, end: u64) {
        if let Claim::Granted { first_unused } = claim {
            assert!(first_unused >= self.end, "{} is granted, and ids before {} are used", first_unused, self.end);
            self.end = end;
        }
    }

    /// Two other instances want it.
    async fn claim_by_others(&mut self, store: &ScyllaStore) {
        for _ in 0..2 {
            let claim = store.claim(self.block, Owner::random()).await.unwrap();
            self.grant(claim, self.block.end_id());
        }
    }
}

/// A block of which some was used and handed back, and how far.
async fn handed_back(store: &ScyllaStore, used: &mut Used) {
    let owner = Owner::random();
    let middle = used.block.first_id() + 100;
    let claim = store.claim(used.block, owner).await.unwrap();
    used.grant(claim, middle);
    assert!(store.hand_back(used.block, owner, middle).await.unwrap());
}

/// Seen to fail when a block was taken again whoever had it.
#[tokio::test]
#[ignore = "needs Cassandra: run by tests/run"]
async fn a_claim_that_is_cut_off_anywhere_grants_nothing_twice() {
    let keyspace = Keyspace::new().await;
    let (victim, others) = (keyspace.scylla(), keyspace.another().await);
    let mut block = 0;
    for is_new in [true, false] {
        let mut cuts = 0;
        for sent in 0..STATEMENTS_MAX {
            block += 1;
            let mut used = Used::none_of(block);
            if !is_new {
                handed_back(&others, &mut used).await;
            }
            let claim = victim.faults().cut_off_after(sent, victim.claim(used.block, Owner::random())).await;
            let Some(claim) = claim else {
                cuts += 1;
                used.claim_by_others(&others).await;
                continue;
            };
            used.grant(claim.unwrap(), used.block.end_id());
            used.claim_by_others(&others).await;
            break;
        }
        assert!((1..STATEMENTS_MAX).contains(&cuts), "{cuts} cuts");
    }
}

/// Seen to fail when what got no answer was not read back.
#[tokio::test]
#[ignore = "needs Cassandra: run by tests/run"]
async fn a_claim_whose_answer_is_lost_is_granted_if_it_was_carried_out() {
    let keyspace = Keyspace::new().await;
    let (victim, others) = (keyspace.scylla(), keyspace.another().await);
    // Statements: the first claim, the claim of what was left.
    for (block, is_new, number) in [(1, true, 1), (2, false, 2)] {
        let mut used = Used::none_of(block);
        if !is_new {
            handed_back(&others, &mut used).await;
        }
        let first_unused = used.end;
        let claim = victim.claim(used.block, Owner::random());
        let (lost, shown) = victim.faults().lose_statement(number, claim).await;
        assert!(shown && matches!(lost, Err(StoreError::Unavailable(_))), "{lost:?}");
        let claim = victim.claim(used.block, Owner::random());
        let (claim, shown) = victim.faults().lose_answer(number, claim).await;
        let claim = claim.unwrap();
        assert!(shown && claim == Claim::Granted { first_unused }, "{claim:?}");
        used.grant(claim, used.block.end_id());
        used.claim_by_others(&others).await;
    }
}

/// An owner may be leased a block that it has: its ids are in use.
///
/// Seen to fail when whatever claim was read back was granted.
#[tokio::test]
#[ignore = "needs Cassandra: run by tests/run"]
async fn an_earlier_claim_of_the_same_owner_is_not_taken_for_this_one() {
    let keyspace = Keyspace::new().await;
    let store = keyspace.scylla();
    let (mut used, owner) = (Used::none_of(1), Owner::random());
    used.grant(store.claim(used.block, owner).await.unwrap(), used.block.end_id());
    let (again, shown) = store.faults().lose_answer(1, store.claim(used.block, owner)).await;
    assert!(shown && matches!(again, Err(StoreError::Unavailable(_))), "{again:?}");
    assert_eq!(store.claim(used.block, owner).await.unwrap(), Claim::Refused);
}

/// Seen to fail when a claim was handed back at the first id that was ever unused.
#[tokio::test]
#[ignore = "needs Cassandra: run by tests/run"]
async fn what_is_handed_back_by_one_who_is_cut_off_was_not_used() {
    let keyspace = Keyspace::new().await;
    let (victim, others) = (keyspace.scylla(), keyspace.another().await);
    let mut cuts = 0;
    for sent in 0..STATEMENTS_MAX {
        let (mut used, owner) = (Used::none_of(sent), Owner::random());
        let middle = used.block.first_id() + 100;
        used.grant(victim.claim(used.block, owner).await.unwrap(), middle);
        let outcome = victim.faults().cut_off_after(sent, victim.hand_back(used.block, owner, middle)).await;
        used.claim_by_others(&others).await;
        match outcome {
            None => cuts += 1,
            Some(handed_back) => {
                assert!(handed_back.unwrap());
                break;
            }
        }
    }
    assert!((1..STATEMENTS_MAX).contains(&cuts), "{cuts} cuts");
}

/// Seen to fail when what got no answer was taken for handed back.
#[tokio::test]
#[ignore = "needs Cassandra: run by tests/run"]
async fn a_claim_is_handed_back_if_its_row_says_so() {
    let keyspace = Keyspace::new().await;
    let (victim, others) = (keyspace.scylla(), keyspace.another().await);
    let (mut used, owner) = (Used::none_of(1), Owner::random());
    let middle = used.block.first_id() + 100;
    used.grant(victim.claim(used.block, owner).await.unwrap(), middle);
    let hand_back = || victim.hand_back(used.block, owner, middle);
    // Statements: the look at the claim, the handing back.
    let (lost, shown) = victim.faults().lose_statement(2, hand_back()).await;
    assert!(shown && matches!(lost, Err(StoreError::Unavailable(_))), "{lost:?}");
    assert_eq!(others.claim(used.block, Owner::random()).await.unwrap(), Claim::Refused);
    let (handed_back, shown) = victim.faults().lose_answer(2, hand_back()).await;
    assert!(shown && handed_back.unwrap());
    assert_eq!(others.claim(used.block, owner).await.unwrap(), Claim::Granted { first_unused: middle });
}

/// A statement of a claim that its writer has given up may be carried out later, when the same owner has claimed the block anew: it is
/// of a claim that is no more.
///
/// Seen to fail when handing back asked for the owner only.
#[tokio::test]
#[ignore = "needs Cassandra: run by tests/run"]
async fn a_claim_is_not_handed_back_by_what_was_sent_for_an_earlier_one() {
    let keyspace = Keyspace::new().await;
    let (victim, others) = (keyspace.scylla(), keyspace.another().await);
    let (mut used, owner) = (Used::none_of(1), Owner::random());
    let middle = used.block.first_id() + 100;
    used.grant(victim.claim(used.block, owner).await.unwrap(), middle);
    // Between its look at the claim and the handing back, all that.
    let (late, go) = (victim.faults(), async {
        assert!(others.hand_back(used.block, owner, middle).await.unwrap());
        others.claim(used.block, owner).await.unwrap()
    });
    let (handed_back, claim) = late.delay(2, victim.hand_back(used.block, owner, middle), go).await;
    // It is handed back from there, whoever did it; the claim since then is not.
    assert!(handed_back.unwrap());
    used.grant(claim, used.block.end_id());
    used.claim_by_others(&others).await;
}

/// Seen to fail when what got no answer was taken for pinned.
#[tokio::test]
#[ignore = "needs Cassandra: run by tests/run"]
async fn an_id_space_is_pinned_if_its_row_says_so() {
    let keyspace = Keyspace::new().await;
    let (victim, others) = (keyspace.scylla(), keyspace.another().await);
    assert!(victim.faults().cut_off_after(0, victim.pin_id_space(&ID_SPACE)).await.is_none());
    let (lost, shown) = victim.faults().lose_statement(1, victim.pin_id_space(&ID_SPACE)).await;
    assert!(shown && matches!(lost, Err(StoreError::Unavailable(_))), "{lost:?}");
    assert_eq!(others.id_space().await.unwrap(), None);
    let (pinned, shown) = victim.faults().lose_answer(1, victim.pin_id_space(&ID_SPACE)).await;
    assert!(shown && pinned.unwrap() == Pinned::Ours);
    let theirs = IdSpace::new([8; 32]);
    let (pinned, shown) = victim.faults().lose_answer(1, victim.pin_id_space(&theirs)).await;
    assert!(shown && pinned.unwrap() == Pinned::Theirs(ID_SPACE.fingerprint()));
}
