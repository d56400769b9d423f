//! What is done to links while something goes wrong, and what must hold afterwards.

use std::{panic::AssertUnwindSafe, time::Duration};

use futures::FutureExt;
use shortener::{
    key::{Domain, Key},
    link::{ExternalId, Link, LinkId},
    store::{
        Created, Creation, Idempotency, Links, Replaced, StoreError,
        conformance::{alias, aliased, external_id, generated},
        scylla::ScyllaStore,
    },
};
use tokio::time::sleep;

/// One operation on links of its own, in a world where nobody else has their names.
#[derive(Debug, Clone)]
pub struct Work {
    /// What is there before.
    before: Option<Link>,
    deed: Deed,
}

#[derive(Debug, Clone)]
enum Deed {
    Create(Creation),
    Replace(Link),
    Delete,
}

/// A kind of work. A case's links and names have numbers from the one given on, fewer than [`NUMBERS`].
pub type Kind = fn(u64) -> Work;

/// How often a state is looked at that may be changing, and how long apart.
const LOOKS_MAX: u32 = 5;
const LOOK_PAUSE: Duration = Duration::from_millis(200);

/// Numbers that one case may use.
pub const NUMBERS: u64 = 100;

impl Work {
    /// Every kind.
    pub const KINDS: [Kind; 8] = [
        Self::create_plain,
        Self::create_alias,
        Self::create_full,
        Self::create_repeatably,
        Self::create_full_repeatably,
        Self::rename,
        Self::relabel_and_archive,
        Self::delete,
    ];

    pub fn create_plain(case: u64) -> Self {
        Self::create(generated(case), None)
    }

    pub fn create_alias(case: u64) -> Self {
        Self::create(aliased(case, &format!("a{case}")), None)
    }

    pub fn create_full(case: u64) -> Self {
        Self::create(full(case, "a", "e"), None)
    }

    pub fn create_repeatably(case: u64) -> Self {
        Self::create(generated(case), Some(case))
    }

    pub fn create_full_repeatably(case: u64) -> Self {
        Self::create(full(case, "a", "e"), Some(case))
    }

    pub fn rename(case: u64) -> Self {
        let before = full(case, "a", "e");
        let after = Link { key: alias(&format!("b{case}")), ..next(&before) };
        Work { before: Some(before), deed: Deed::Replace(after) }
    }

    pub fn relabel_and_archive(case: u64) -> Self {
        let before = generated(case);
        let after = Link { external_id: Some(external_id(&format!("f{case}"))), archived: true, ..next(&before) };
        Work { before: Some(before), deed: Deed::Replace(after) }
    }

    pub fn delete(case: u64) -> Self {
        Work { before: Some(full(case, "a", "e")), deed: Deed::Delete }
    }

    fn create(link: Link, key: Option<u64>) -> Self {
        let idempotency = key.map(|key| {
            let mut digest = [0; 32];
            digest[..8].copy_from_slice(&key.to_be_bytes());
            Idempotency { key: digest, request: [1; 32] }
        });
        Work { before: None, deed: Deed::Create(Creation { link, idempotency }) }
    }

    /// Makes what is there before.
    pub async fn prepare(&self, store: &ScyllaStore) {
        if let Some(link) = &self.before {
            assert_eq!(create(store, link.clone()).await, Created::Created);
        }
    }

    /// Does it, the first time: nothing stands in its way, so it succeeds, or says that it got no answer.
    pub async fn run(&self, store: &ScyllaStore) -> Result<(), StoreError> {
        match &self.deed {
            Deed::Create(creation) => match store.create(creation.clone()).await? {
                Created::Created => {}
                other => panic!("{other:?} of {self:?}"),
            },
            Deed::Replace(after) => {
                let before = self.before.as_ref().expect("what is replaced");
                assert_eq!(store.replace(before, after).await?, Replaced::Replaced, "{self:?}");
            }
            Deed::Delete => assert_eq!(store.delete(self.id()).await?, self.before, "{self:?}"),
        }
        Ok(())
    }

    /// Does it, while others may have been faster: it may be refused, or ended.
    pub async fn run_against_others(&self, store: &ScyllaStore) {
        let outcome = match &self.deed {
            Deed::Create(creation) => store.create(creation.clone()).await.map(|outcome| format!("{outcome:?}")),
            Deed::Replace(after) => {
                let before = self.before.as_ref().expect("what is replaced");
                store.replace(before, after).await.map(|outcome| format!("{outcome:?}"))
            }
            Deed::Delete => store.delete(self.id()).await.map(|outcome| format!("{outcome:?}")),
        };
        assert!(!matches!(outcome, Err(StoreError::Unreadable(_))), "{outcome:?} of {self:?}");
    }

    /// Whether it is done, by what can be seen.
    pub async fn is_done(&self, store: &ScyllaStore) -> bool {
        let now = store.by_id(self.id()).await.unwrap();
        match &self.deed {
            Deed::Create(creation) => now.as_ref() == Some(&creation.link),
            Deed::Replace(after) => now.is_some_and(|now| Link { revision: after.revision, ..now } == *after),
            Deed::Delete => now.is_none(),
        }
    }

    /// Does it again, as a client does that got no answer: it is done then, once.
    pub async fn repeat(&self, store: &ScyllaStore) {
        let was_done = self.is_done(store).await;
        match &self.deed {
            Deed::Create(creation) => {
                let link = another_id(&creation.link);
                let again = Creation { link: link.clone(), idempotency: creation.idempotency.clone() };
                let outcome = store.create(again.clone()).await.unwrap();
                let unique = self.names().1.is_some() || matches!(creation.link.key, Key::Alias(_));
                match (creation.idempotency.is_some(), was_done) {
                    (true, _) => {
                        let made = match outcome {
                            Created::Created => link,
                            Created::Replayed(Some(made)) => *made,
                            other => panic!("{other:?} of {self:?}"),
                        };
                        let there = store.by_ids(&[creation.link.id, again.link.id]).await.unwrap();
                        assert_eq!(there, std::slice::from_ref(&made), "exactly one link of {self:?}");
                        let once_more = Creation { link: another_id(&again.link), ..again };
                        assert_eq!(store.create(once_more).await.unwrap(), Created::Replayed(Some(Box::new(made))));
                    }
                    (false, true) if unique => {
                        assert!(matches!(outcome, Created::AliasTaken | Created::ExternalIdTaken), "{outcome:?}");
                    }
                    (false, _) => assert_eq!(outcome, Created::Created, "{self:?}"),
                }
            }
            Deed::Replace(after) => {
                let now = store.by_id(self.id()).await.unwrap().expect("it is not deleted");
                let after = Link { revision: now.revision + 1, ..after.clone() };
                assert_eq!(store.replace(&now, &after).await.unwrap(), Replaced::Replaced, "{self:?}");
                assert_eq!(store.by_id(self.id()).await.unwrap(), Some(after));
            }
            Deed::Delete => {
                let deleted = store.delete(self.id()).await.unwrap();
                assert_eq!(deleted, self.before.clone().filter(|_| !was_done), "{self:?}");
                assert!(self.is_done(store).await);
            }
        }
    }

    /// Others take each of its names: they get those that no link has, and no others.
    pub async fn take_names(&self, store: &ScyllaStore) {
        let (keys, external_ids) = self.names();
        for (number, key) in keys.iter().filter(|key| matches!(key, Key::Alias(_))).enumerate() {
            let other = Link { key: key.clone(), ..aliased(self.id().0 + 20 + number as u64, "x") };
            let look = async || store.by_key(&Domain::default(), key).await.unwrap();
            self.take_name(store, other, look).await;
        }
        if let Some(external_id) = &external_ids {
            let other = Link { external_id: external_ids.clone(), ..generated(self.id().0 + 30) };
            let look = async || store.by_external_id(external_id).await.unwrap();
            self.take_name(store, other, look).await;
        }
    }

    /// A statement of the work may be under way still, and end between the looks.
    async fn take_name(&self, store: &ScyllaStore, other: Link, look: impl AsyncFn() -> Option<Link>) {
        let before = look().await;
        let outcome = create(store, other.clone()).await;
        let after = look().await;
        match outcome {
            Created::Created => assert_eq!(after, Some(other), "{self:?}"),
            Created::AliasTaken | Created::ExternalIdTaken => {
                let had = before.or(after).expect("a name that nobody has is not taken");
                assert_ne!(had.id, other.id, "{self:?}");
            }
            other => panic!("{other:?} of {self:?}"),
        }
    }

    /// Changes the link otherwise, and returns the same work as it is done after that.
    pub async fn of_next_revision(&self, store: &ScyllaStore) -> Work {
        let (Some(before), Deed::Replace(after)) = (&self.before, &self.deed) else { panic!("{self:?} is no change") };
        let title = Some("otherwise".to_owned());
        let changed = Link { title: title.clone(), ..next(before) };
        assert_eq!(store.replace(before, &changed).await.unwrap(), Replaced::Replaced);
        let after = Link { title, ..next(after) };
        Work { before: Some(changed), deed: Deed::Replace(after) }
    }

    /// Makes the link what it was before, if there is anything to undo.
    pub async fn undo(&self, store: &ScyllaStore) {
        let before = self.before.clone().expect("what is changed");
        let now = store.by_id(before.id).await.unwrap().expect("it is not deleted");
        if now != before {
            let after = Link { revision: now.revision + 1, ..before };
            assert_eq!(store.replace(&now, &after).await.unwrap(), Replaced::Replaced);
        }
    }

    /// The creation comes again while others have its names, who then delete their links.
    pub async fn be_refused(&self, store: &ScyllaStore) {
        let Deed::Create(creation) = &self.deed else { panic!("{self:?} is no creation") };
        self.take_names(store).await;
        let link = Link { id: LinkId(creation.link.id.0 + 1), ..creation.link.clone() };
        let outcome = store.create(Creation { link, ..creation.clone() }).await.unwrap();
        let was_made = matches!(outcome, Created::Replayed(Some(_)));
        assert!(was_made || matches!(outcome, Created::AliasTaken | Created::ExternalIdTaken), "{outcome:?}");
        for id in self.ids().into_iter().skip(20) {
            store.delete(id).await.unwrap();
        }
    }

    /// Deletes whatever there is of it.
    pub async fn delete_all(&self, store: &ScyllaStore) {
        for id in self.ids() {
            store.delete(id).await.unwrap();
        }
    }

    /// No answer contradicts another: what a name leads to has that name, and what has a name is what it leads to. A statement that
    /// somebody sent before he was stopped may be carried out between two of these reads, and is over when they are made again.
    pub async fn is_consistent(&self, store: &ScyllaStore) {
        for _ in 1..LOOKS_MAX {
            if AssertUnwindSafe(self.look_consistent(store)).catch_unwind().await.is_ok() {
                return;
            }
            sleep(LOOK_PAUSE).await;
        }
        self.look_consistent(store).await;
    }

    async fn look_consistent(&self, store: &ScyllaStore) {
        let (keys, external_ids) = self.names();
        let mut found: Vec<Link> = Vec::new();
        for key in &keys {
            let link = store.by_key(&Domain::default(), key).await.unwrap();
            assert!(link.as_ref().is_none_or(|link| link.key == *key), "{link:?} by {key:?}");
            found.extend(link);
        }
        if let Some(external_id) = &external_ids {
            let link = store.by_external_id(external_id).await.unwrap();
            assert!(link.as_ref().is_none_or(|link| link.external_id.as_ref() == Some(external_id)));
            found.extend(link);
        }
        let links = store.by_ids(&self.ids()).await.unwrap();
        for link in &found {
            assert!(links.contains(link), "{link:?} is found by a name alone");
        }
        for link in links {
            let by_key = store.by_key(&link.domain, &link.key).await.unwrap();
            assert_eq!(by_key.as_ref(), Some(&link), "by key");
            if let Some(external_id) = &link.external_id {
                assert_eq!(store.by_external_id(external_id).await.unwrap().as_ref(), Some(&link), "by external id");
            }
        }
    }

    /// Every id that a link of this work, or of others after it, may have.
    fn ids(&self) -> Vec<LinkId> {
        (self.id().0..self.id().0 + NUMBERS).map(LinkId).collect()
    }

    fn id(&self) -> LinkId {
        match &self.deed {
            Deed::Create(creation) => creation.link.id,
            _ => self.before.as_ref().expect("what is changed").id,
        }
    }

    /// All keys that the work is about, and its external id.
    fn names(&self) -> (Vec<Key>, Option<ExternalId>) {
        let links: Vec<&Link> = match &self.deed {
            Deed::Create(creation) => vec![&creation.link],
            Deed::Replace(after) => self.before.iter().chain([after]).collect(),
            Deed::Delete => self.before.iter().collect(),
        };
        let external_id = links.iter().find_map(|link| link.external_id.clone());
        (links.into_iter().map(|link| link.key.clone()).collect(), external_id)
    }
}

pub async fn create(store: &ScyllaStore, link: Link) -> Created {
    store.create(Creation { link, idempotency: None }).await.unwrap()
}

/// The next revision of a link.
pub fn next(link: &Link) -> Link {
    Link { revision: link.revision + 1, updated_at_ms: link.updated_at_ms + 1, ..link.clone() }
}

fn full(case: u64, alias: &str, external_id: &str) -> Link {
    Link {
        external_id: Some(self::external_id(&format!("{external_id}{case}"))),
        ..aliased(case, &format!("{alias}{case}"))
    }
}

/// The same link as another call makes it.
fn another_id(link: &Link) -> Link {
    match &link.key {
        Key::Code(_) => {
            let made = generated(link.id.0 + 5);
            Link { id: made.id, key: made.key, ..link.clone() }
        }
        Key::Alias(_) => Link { id: LinkId(link.id.0 + 5), ..link.clone() },
    }
}
