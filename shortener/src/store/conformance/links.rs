//! Links.

use std::{collections::HashSet, sync::Arc};

use super::{Answers, Harness, alias, aliased, destination, external_id, generated};
use crate::{
    key::{Domain, Key},
    link::{Link, LinkId, RedirectStatus},
    store::{Archived, Created, Creation, Cursor, Idempotency, Listing, Order, Page, Replaced, Store},
};

async fn create(store: &dyn Store, link: &Link) -> Created {
    store.create(Creation { link: link.clone(), idempotency: None }).await.unwrap()
}

async fn made(store: &dyn Store, link: Link) -> Link {
    assert_eq!(create(store, &link).await, Created::Created);
    link
}

async fn by_key(store: &dyn Store, key: &Key) -> Option<Link> {
    store.by_key(&Domain::default(), key).await.unwrap()
}

/// The next revision of a link.
fn next(link: &Link) -> Link {
    Link { revision: link.revision + 1, updated_at_ms: link.updated_at_ms + 1, ..link.clone() }
}

/// Seen to fail when an empty text came back as none, and when any alias was found by any other.
pub async fn every_field_comes_back(harness: &mut impl Harness) {
    let full = Link {
        url: destination("https://example.com/a?b=c#d"),
        external_id: Some(external_id("äß 7/8")),
        expires_at_ms: Some(1_800_000_000_000),
        expired_url: Some(destination("https://example.com/late")),
        title: Some("Title, «quoted»".to_owned()),
        comments: Some(String::new()),
        archived: true,
        redirect_status: RedirectStatus::PermanentRedirect,
        created_at_ms: 1,
        updated_at_ms: 2,
        revision: 3,
        ..aliased(9_000, "café/🎉")
    };
    let plain = generated(1_000);
    let coded = Link { id: LinkId(9_001), ..generated(9_001) };
    let coded = Link { external_id: Some(external_id("coded")), ..coded };
    for link in [&full, &plain, &coded] {
        made(&*harness.store(), link.clone()).await;
    }
    harness.reopen().await;
    let store = harness.store();
    for link in [&full, &plain, &coded] {
        assert_eq!(by_key(&*store, &link.key).await.as_ref(), Some(link));
        assert_eq!(store.by_id(link.id).await.unwrap().as_ref(), Some(link));
        if let Some(external_id) = &link.external_id {
            assert_eq!(store.by_external_id(external_id).await.unwrap().as_ref(), Some(link));
        }
    }
    let mut found = store.by_ids(&[full.id, LinkId(5), plain.id]).await.unwrap();
    found.sort_by_key(|link| link.id);
    assert_eq!(found, [plain, full]);
}

/// Seen to fail when a change of a link that is not there was taken for one to a key in use.
pub async fn nothing_is_found_of_what_never_was(harness: &mut impl Harness) {
    let store = harness.store();
    let never = generated(1);
    assert_eq!(by_key(&*store, &never.key).await, None);
    assert_eq!(by_key(&*store, &alias("never")).await, None);
    assert_eq!(store.by_id(never.id).await.unwrap(), None);
    assert_eq!(store.by_external_id(&external_id("never")).await.unwrap(), None);
    assert_eq!(store.by_ids(&[]).await.unwrap(), []);
    assert_eq!(store.delete(never.id).await.unwrap(), None);
    assert_eq!(store.replace(&never, &next(&never)).await.unwrap(), Replaced::Stale);
    assert_eq!(store.list(&Listing { limit: 10, ..Listing::default() }).await.unwrap(), []);
    assert_eq!(store.count(Archived::Include).await.unwrap(), 0);
}

/// Seen to fail when an alias was written without a look.
pub async fn an_alias_is_taken_once(harness: &mut impl Harness) {
    let store = harness.store();
    let first = made(&*store, aliased(1, "sale")).await;
    let second = Link { external_id: Some(external_id("second")), ..aliased(2, "SALE") };
    assert_eq!(create(&*store, &second).await, Created::AliasTaken);
    assert_eq!(by_key(&*store, &first.key).await, Some(first));
    assert_eq!(store.by_id(second.id).await.unwrap(), None, "nothing of it was kept");
    assert_eq!(store.by_external_id(&external_id("second")).await.unwrap(), None);
}

/// Seen to fail when an alias was written without a look.
pub async fn of_many_who_want_an_alias_one_gets_it(harness: &mut impl Harness) {
    let winners = race(harness.store(), (1..=24).map(|id| aliased(id, "wanted")), Created::AliasTaken).await;
    assert_eq!(by_key(&*harness.store(), &alias("wanted")).await.map(|link| link.id), winners.first().copied());
    assert_eq!(winners.len(), 1);
}

/// Seen to fail when an external id was written without a look.
pub async fn an_external_id_is_taken_once(harness: &mut impl Harness) {
    let store = harness.store();
    let with_id = |link: Link| Link { external_id: Some(external_id("order-7")), ..link };
    let first = made(&*store, with_id(generated(1))).await;
    let second = with_id(generated(100));
    let third = with_id(aliased(200, "third"));
    assert_eq!(create(&*store, &second).await, Created::ExternalIdTaken);
    assert_eq!(create(&*store, &third).await, Created::ExternalIdTaken);
    assert_eq!(by_key(&*store, &second.key).await, None);
    assert_eq!(by_key(&*store, &third.key).await, None, "its alias was not kept either");
    assert_eq!(store.by_external_id(&external_id("order-7")).await.unwrap(), Some(first));
}

/// Seen to fail when an external id was written without a look.
pub async fn of_many_who_want_an_external_id_one_gets_it(harness: &mut impl Harness) {
    let links = (1..=24).map(|id| Link { external_id: Some(external_id("x")), ..aliased(id, &format!("a{id}")) });
    let winners = race(harness.store(), links, Created::ExternalIdTaken).await;
    let kept = harness.store().by_external_id(&external_id("x")).await.unwrap();
    assert_eq!(kept.map(|link| link.id), winners.first().copied());
    assert_eq!((winners.len(), harness.store().count(Archived::Include).await.unwrap()), (1, 1));
}

/// Creates all links at once; returns those that were made, after a look that the others were refused as they should be.
async fn race(store: Arc<dyn Store>, links: impl Iterator<Item = Link>, refused: Created) -> Vec<LinkId> {
    let tries: Vec<_> = links
        .map(|link| {
            let store = store.clone();
            tokio::spawn(async move { (link.id, create(&*store, &link).await) })
        })
        .collect();
    let mut winners = Vec::new();
    for tried in tries {
        match tried.await.unwrap() {
            (id, Created::Created) => winners.push(id),
            (_, outcome) => assert_eq!(outcome, refused),
        }
    }
    winners
}

/// Seen to fail when the revision was not compared.
pub async fn a_change_needs_the_latest_revision(harness: &mut impl Harness) {
    let store = harness.store();
    let first = made(&*store, generated(1)).await;
    let second = Link { url: destination("https://example.com/second"), title: Some("T".to_owned()), ..next(&first) };
    assert_eq!(store.replace(&first, &second).await.unwrap(), Replaced::Replaced);
    assert_eq!(store.replace(&first, &next(&first)).await.unwrap(), Replaced::Stale);
    assert_eq!(by_key(&*store, &first.key).await, Some(second.clone()));

    let tries = (0..16).map(|number| {
        let (store, before) = (store.clone(), second.clone());
        let after = Link { title: Some(number.to_string()), ..next(&before) };
        tokio::spawn(async move { store.replace(&before, &after).await })
    });
    harness.answers().one_wins(tries, |replaced| replaced == Replaced::Replaced).await;
    assert_eq!(store.replace(&second, &next(&second)).await.unwrap(), Replaced::Stale, "somebody has changed it");
}

/// Seen to fail when a change ignored the links beside it.
pub async fn a_change_may_not_take_what_is_taken(harness: &mut impl Harness) {
    let store = harness.store();
    let other = Link { external_id: Some(external_id("taken")), ..aliased(1, "taken") };
    made(&*store, other.clone()).await;
    let link = made(&*store, aliased(2, "mine")).await;
    let renamed = Link { key: alias("taken"), ..next(&link) };
    assert_eq!(store.replace(&link, &renamed).await.unwrap(), Replaced::AliasTaken);
    let relabelled = Link { external_id: Some(external_id("taken")), ..next(&link) };
    assert_eq!(store.replace(&link, &relabelled).await.unwrap(), Replaced::ExternalIdTaken);
    assert_eq!(by_key(&*store, &link.key).await, Some(link));
    assert_eq!(by_key(&*store, &other.key).await, Some(other));
}

/// Seen to fail when a code was looked up by its id alone.
pub async fn a_renamed_link_answers_to_its_new_key_alone(harness: &mut impl Harness) {
    let store = harness.store();
    let coded = made(&*store, generated(1)).await;
    let renamed = Link { key: alias("first"), ..next(&coded) };
    assert_eq!(store.replace(&coded, &renamed).await.unwrap(), Replaced::Replaced);
    assert_eq!(by_key(&*store, &coded.key).await, None);
    assert_eq!(by_key(&*store, &renamed.key).await, Some(renamed.clone()));
    let again = Link { key: alias("second"), external_id: Some(external_id("e")), ..next(&renamed) };
    assert_eq!(store.replace(&renamed, &again).await.unwrap(), Replaced::Replaced);
    assert_eq!(by_key(&*store, &alias("first")).await, None);
    made(&*store, aliased(50, "first")).await;
    assert_eq!(store.by_external_id(&external_id("e")).await.unwrap(), Some(again));
}

/// Seen to fail when a deletion only archived.
pub async fn a_deleted_link_is_gone_and_its_names_are_free(harness: &mut impl Harness) {
    let store = harness.store();
    let link = Link { external_id: Some(external_id("e")), ..aliased(1, "gone") };
    made(&*store, link.clone()).await;
    assert_eq!(store.delete(link.id).await.unwrap(), Some(link.clone()));
    assert_eq!(store.delete(link.id).await.unwrap(), None);
    harness.reopen().await;
    let store = harness.store();
    assert_eq!(by_key(&*store, &link.key).await, None);
    assert_eq!(store.by_id(link.id).await.unwrap(), None);
    assert_eq!(store.by_external_id(&external_id("e")).await.unwrap(), None);
    assert_eq!(store.list(&Listing { limit: 10, ..Listing::default() }).await.unwrap(), []);
    made(&*store, Link { external_id: Some(external_id("e")), ..aliased(2, "gone") }).await;
}

/// Seen to fail when a change inserted what was not there.
pub async fn no_change_brings_a_deleted_link_back(harness: &mut impl Harness) {
    let (store, answers) = (harness.store(), harness.answers());
    for round in 0..8 {
        let mut link = made(&*store, generated(1 + round * 100)).await;
        let deletion = {
            let (store, id) = (store.clone(), link.id);
            tokio::spawn(async move { answers.of(store.delete(id).await) })
        };
        for _ in 0..20 {
            let after = next(&link);
            if answers.of(store.replace(&link, &after).await) == Some(Replaced::Replaced) {
                link = after;
            }
        }
        // Nobody is told by a deletion that was not answered what it has deleted, if it has.
        let deleted = match deletion.await.unwrap() {
            Some(deleted) => deleted.expect("it was there"),
            None => store.delete(link.id).await.unwrap().unwrap_or_else(|| link.clone()),
        };
        assert_eq!(by_key(&*store, &link.key).await, None);
        let is_next = answers == Answers::MayBeLost && deleted == next(&link);
        assert!(deleted == link || is_next, "what was deleted is what it was last: {deleted:?}, {link:?}");
    }
}

fn idempotency(key: u8, request: u8) -> Option<Idempotency> {
    Some(Idempotency { key: [key; 32], request: [request; 32] })
}

/// Seen to fail without the record of the first creation, when requests were not compared, and when records were kept
/// for ever.
pub async fn a_repeated_creation_gives_the_same_link(harness: &mut impl Harness) {
    let first = generated(1);
    let creation = Creation { link: first.clone(), idempotency: idempotency(1, 1) };
    assert_eq!(harness.store().create(creation.clone()).await.unwrap(), Created::Created);
    harness.reopen().await;
    let store = harness.store();
    // A repetition comes with another id.
    let second = generated(100);
    let again = Creation { link: second.clone(), ..creation };
    assert_eq!(store.create(again.clone()).await.unwrap(), Created::Replayed(Some(Box::new(first.clone()))));
    assert_eq!(by_key(&*store, &second.key).await, None);
    let other = Creation { link: second.clone(), idempotency: idempotency(1, 2) };
    assert_eq!(store.create(other).await.unwrap(), Created::IdempotencyKeyReused);
    let elsewhere = Creation { link: second.clone(), idempotency: idempotency(2, 1) };
    assert_eq!(store.create(elsewhere).await.unwrap(), Created::Created);
    store.delete(first.id).await.unwrap();
    assert_eq!(store.create(again.clone()).await.unwrap(), Created::Replayed(None));

    let day_later = second.created_at_ms + Idempotency::KEPT_MS + 1;
    let much_later = Link { created_at_ms: day_later, ..generated(200) };
    assert_eq!(store.create(Creation { link: much_later, ..again }).await.unwrap(), Created::Created);
}

/// Seen to fail without the record of the first creation, and without the look at it.
pub async fn of_many_repetitions_one_makes_the_link(harness: &mut impl Harness) {
    let store = harness.store();
    let tries: Vec<_> = (1..=16)
        .map(|number| {
            let (store, link) = (store.clone(), generated(number * 100));
            tokio::spawn(async move {
                match store.create(Creation { link: link.clone(), idempotency: idempotency(1, 1) }).await.unwrap() {
                    Created::Created => link.id,
                    Created::Replayed(Some(link)) => link.id,
                    other => panic!("{other:?}"),
                }
            })
        })
        .collect();
    let mut ids = HashSet::new();
    for tried in tries {
        ids.insert(tried.await.unwrap());
    }
    assert_eq!((ids.len(), store.count(Archived::Include).await.unwrap()), (1, 1));
}

/// Seen to fail with `<=` in place of `<` at the cursor, and with another order than by id among the links of a moment.
pub async fn a_listing_pages_both_ways(harness: &mut impl Harness) {
    let store = harness.store();
    let mut links = Vec::new();
    for number in 0..25 {
        // Four links share each moment; ids do not rise with time.
        let link = aliased(1_000 - number * 7, &format!("n{number}"));
        links.push(made(&*store, Link { created_at_ms: 5_000 + number as i64 / 4, ..link }).await);
    }
    links.sort_by_key(|link| (link.created_at_ms, link.id));
    let oldest_first: Vec<LinkId> = links.iter().map(|link| link.id).collect();
    let newest_first: Vec<LinkId> = oldest_first.iter().rev().copied().collect();
    for (order, expected) in [(Order::NewestFirst, newest_first), (Order::OldestFirst, oldest_first)] {
        for limit in [1, 4, 7, 25, 100] {
            let listing = Listing { order, limit, ..Listing::default() };
            let mut forth = Vec::new();
            let mut page = Page::First;
            loop {
                let links = store.list(&Listing { page, ..listing.clone() }).await.unwrap();
                assert!(links.len() <= limit as usize);
                let Some(last) = links.last() else { break };
                page = Page::After(Cursor { created_at_ms: last.created_at_ms, id: last.id });
                forth.extend(links.iter().map(|link| link.id));
                assert!(forth.len() <= expected.len(), "{forth:?}");
            }
            assert_eq!(forth, expected);
            let skipped = store.list(&Listing { page: Page::Skip(9), ..listing.clone() }).await.unwrap();
            assert!(skipped.iter().map(|link| link.id).eq(expected[9..].iter().copied().take(limit as usize)));
            let mut back: Vec<LinkId> = Vec::new();
            let last = store.by_id(expected[24]).await.unwrap().unwrap();
            let mut page = Page::Before(Cursor { created_at_ms: last.created_at_ms, id: last.id });
            loop {
                let links = store.list(&Listing { page, ..listing.clone() }).await.unwrap();
                let Some(first) = links.first() else { break };
                page = Page::Before(Cursor { created_at_ms: first.created_at_ms, id: first.id });
                back.splice(0..0, links.iter().map(|link| link.id));
                assert!(back.len() < expected.len(), "{back:?}");
            }
            assert_eq!(back, expected[..24]);
        }
    }
}

/// Seen to fail when they were listed, and when they were counted.
pub async fn archived_links_are_left_out(harness: &mut impl Harness) {
    let store = harness.store();
    let open = made(&*store, aliased(1, "open")).await;
    let archived = made(&*store, Link { archived: true, ..aliased(2, "archived") }).await;
    let list = async |archived| {
        let listing = Listing { archived, limit: 10, ..Listing::default() };
        store.list(&listing).await.unwrap().iter().map(|link| link.id).collect::<Vec<_>>()
    };
    assert_eq!(list(Archived::Exclude).await, [open.id]);
    assert_eq!(list(Archived::Include).await, [archived.id, open.id]);
    assert_eq!(store.count(Archived::Exclude).await.unwrap(), 1);
    assert_eq!(store.count(Archived::Include).await.unwrap(), 2);
    assert_eq!(by_key(&*store, &archived.key).await, Some(archived));
}

/// What waits together is written together, and each of it is there. Seen to fail when the first of those that were written
/// together was left out, and when what was too much at once was answered and not written.
pub async fn many_links_at_once(harness: &mut impl Harness) {
    let store = harness.store();
    let links: Vec<Link> = (1..=500).map(|number| generated(number * 10)).collect();
    let tries: Vec<_> = links
        .iter()
        .map(|link| {
            let (store, link) = (store.clone(), link.clone());
            tokio::spawn(async move { create(&*store, &link).await })
        })
        .collect();
    for tried in tries {
        assert_eq!(tried.await.unwrap(), Created::Created);
    }
    harness.reopen().await;
    let store = harness.store();
    for link in &links {
        assert_eq!(by_key(&*store, &link.key).await.as_ref(), Some(link));
    }
}
