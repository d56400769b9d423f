//! Claims.

use token_service::{Block, IdSpace, Owner};

use super::{Harness, ID_SPACE, generated};
use crate::{
    key::Domain,
    store::{Claim, Creation, Pinned},
};

const BLOCK: Block = Block(7);

/// Seen to fail when a claim overwrote the one before it.
pub async fn a_block_is_granted_once(harness: &mut impl Harness) {
    let owner = Owner::random();
    let granted = Claim::Granted { first_unused: BLOCK.first_id() };
    assert_eq!(harness.store().claim(BLOCK, owner).await.unwrap(), granted);
    harness.reopen().await;
    let store = harness.store();
    assert_eq!(store.claim(BLOCK, Owner::random()).await.unwrap(), Claim::Refused);
    assert_eq!(store.claim(BLOCK, owner).await.unwrap(), Claim::Refused, "its ids are in use");
    let next = Block(BLOCK.0 + 1);
    assert_eq!(store.claim(next, owner).await.unwrap(), Claim::Granted { first_unused: next.first_id() });
}

/// Seen to fail when a claim overwrote the one before it.
pub async fn of_many_who_claim_a_block_one_gets_it(harness: &mut impl Harness) {
    let store = harness.store();
    let claims = (0..16).map(|_| {
        let store = store.clone();
        tokio::spawn(async move { store.claim(BLOCK, Owner::random()).await })
    });
    let is_granted = |claim| matches!(claim, Claim::Granted { .. });
    harness.answers().one_wins(claims, is_granted).await;
    assert_eq!(store.claim(BLOCK, Owner::random()).await.unwrap(), Claim::Refused, "somebody has it");
}

/// Seen to fail when a claim that was handed back began at the block's first id.
pub async fn a_claim_handed_back_goes_on_where_it_stopped(harness: &mut impl Harness) {
    let (first, second) = (Owner::random(), Owner::random());
    let middle = BLOCK.first_id() + 100;
    let store = harness.store();
    store.claim(BLOCK, first).await.unwrap();
    assert!(store.hand_back(BLOCK, first, middle).await.unwrap());
    assert!(!store.hand_back(BLOCK, first, middle + 1).await.unwrap(), "it is not the owner's any more");
    harness.reopen().await;
    let store = harness.store();
    assert_eq!(store.claim(BLOCK, second).await.unwrap(), Claim::Granted { first_unused: middle });
    assert_eq!(store.claim(BLOCK, first).await.unwrap(), Claim::Refused);
    assert!(!store.hand_back(BLOCK, second, middle - 1).await.unwrap(), "ids before it are used");
    assert!(!store.hand_back(BLOCK, second, BLOCK.end_id() + 1).await.unwrap(), "not an id of this block");
    assert!(store.hand_back(BLOCK, second, BLOCK.end_id()).await.unwrap());
    assert_eq!(store.claim(BLOCK, first).await.unwrap(), Claim::Refused, "nothing is left of it");
}

/// Seen to fail when handing back did not ask for the owner.
pub async fn only_the_owner_hands_back(harness: &mut impl Harness) {
    let store = harness.store();
    let owner = Owner::random();
    store.claim(BLOCK, owner).await.unwrap();
    assert!(!store.hand_back(BLOCK, Owner::random(), BLOCK.first_id()).await.unwrap());
    assert!(!store.hand_back(Block(8), owner, Block(8).first_id()).await.unwrap(), "never claimed");
    assert_eq!(store.claim(BLOCK, Owner::random()).await.unwrap(), Claim::Refused);
}

/// Seen to fail when a second pin replaced the first.
pub async fn an_id_space_is_pinned_for_ever(harness: &mut impl Harness) {
    let (ours, theirs) = (IdSpace::new([1; 32]), IdSpace::new([2; 32]));
    assert_eq!(harness.store().id_space().await.unwrap(), None);
    assert_eq!(harness.store().pin_id_space(&ours).await.unwrap(), Pinned::Ours);
    assert_eq!(harness.store().id_space().await.unwrap(), Some(ours.clone()));
    harness.reopen().await;
    let store = harness.store();
    assert_eq!(store.pin_id_space(&theirs).await.unwrap(), Pinned::Theirs(ours.fingerprint()));
    assert_eq!(store.pin_id_space(&ours).await.unwrap(), Pinned::Ours);
    assert_eq!(store.id_space().await.unwrap(), Some(ours));
}

/// A store that was pinned once serves codes after a restart, with nobody to ask for the id space.
///
/// Seen to fail when the key was not read at the opening, and when a pin did not make codes readable.
pub async fn codes_are_read_once_an_id_space_is_pinned(harness: &mut impl Harness) {
    let link = generated(1);
    let store = harness.store();
    store.pin_id_space(&ID_SPACE).await.unwrap();
    store.create(Creation { link: link.clone(), idempotency: None }).await.unwrap();
    let found = async |harness: &dyn Harness| harness.store().by_key(&Domain::default(), &link.key).await.unwrap();
    assert_eq!(found(harness).await.as_ref(), Some(&link));
    harness.reopen().await;
    assert_eq!(found(harness).await.as_ref(), Some(&link));
}
