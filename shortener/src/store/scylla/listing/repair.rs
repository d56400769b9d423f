//! Entries that nothing stands behind: what an interrupted creation, change or deletion left. Whoever lists passes over them, and
//! deletes them.
//!
//! **An entry that its link contradicts** is deleted with the revision of the link as it was read. Entries are written with the revision that they
//! belong to as timestamp, and a link's revision only rises: an entry that comes to agree with its link later has a higher timestamp than this
//! deletion, and stays, whichever of the two arrives first. That is so for a change that is under way, too: it enters the other listing with
//! the next revision, before the link says so. What was read may be old by then; its revision is then lower still.
//!
//! **An entry without a link** may be of a creation that is under way, which lists before it writes: it is deleted only once it is older than
//! [`UNLINKED_KEPT_MS`]. By then its creation has ended, and so has the time in which a repeated request takes it up again; a deleted link
//! does not come back, and no other has its id. Nothing will ever agree with the entry, so it is deleted with a timestamp above any
//! revision ([`REVISION_MAX`]). Who brings links that are older than that from elsewhere writes each before its entry.

use std::sync::Arc;

use tokio::sync::Semaphore;

use super::{
    Entry, metrics,
    tables::{Found, Statements},
};
use crate::{
    link::Link,
    store::{Archived, Idempotency},
};

/// How long an entry may stand without a link, by its moment: a day in which the same request may come again, and another for clocks that
/// are wrong.
pub const UNLINKED_KEPT_MS: i64 = 2 * Idempotency::KEPT_MS;

/// More often than that, no link is changed.
const REVISION_MAX: u64 = u32::MAX as u64;

/// Repairs that one listing carries out at most; the next one that meets the others does.
pub const REPAIRS_PER_PAGE: usize = 100;

/// An entry to be deleted, from a revision on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Repair {
    pub entry: Entry,
    pub revision: u64,
}

/// Whether a link is listed by the entries that stand at one place, and which of them are to go.
///
/// In a listing of both, the link counts whichever of the two it is entered in: it may have been archived between the reads.
pub fn judge(
    entries: &[Entry],
    found: Option<Found>,
    archived: Archived,
    now_ms: i64,
    repairs: &mut Vec<Repair>,
) -> Option<Link> {
    let Some(Found { link, shard }) = found else {
        let forgotten = |entry: &&Entry| entry.created_at_ms < now_ms.saturating_sub(UNLINKED_KEPT_MS);
        repairs.extend(entries.iter().filter(forgotten).map(|entry| Repair { entry: *entry, revision: REVISION_MAX }));
        return None;
    };
    let placed = |entry: &Entry| entry.created_at_ms == link.created_at_ms && Some(entry.shard) == shard;
    let agrees = |entry: &Entry| placed(entry) && entry.archived == link.archived;
    let contradicted = entries.iter().filter(|entry| !agrees(entry));
    repairs.extend(contradicted.map(|entry| Repair { entry: *entry, revision: link.revision }));
    let listed = match archived {
        Archived::Exclude => entries.iter().any(agrees),
        Archived::Include => entries.iter().any(placed),
    };
    listed.then_some(link)
}

/// Carries out repairs beside the answers: those of one listing at a time; what another one meets meanwhile is left to the next.
#[derive(Debug)]
pub struct Repairs(Arc<Semaphore>);

impl Default for Repairs {
    fn default() -> Self {
        Repairs(Arc::new(Semaphore::new(1)))
    }
}

impl Repairs {
    /// Begins them; nobody waits for their end, but [`close`](Self::close). What fails is met again.
    pub fn start(&self, statements: &Arc<Statements>, mut repairs: Vec<Repair>) {
        if repairs.is_empty() {
            return;
        }
        let Ok(turn) = Arc::clone(&self.0).try_acquire_owned() else {
            return metrics::repairs_put_off(repairs.len());
        };
        if repairs.len() > REPAIRS_PER_PAGE {
            metrics::repairs_put_off(repairs.len() - REPAIRS_PER_PAGE);
            repairs.truncate(REPAIRS_PER_PAGE);
        }
        let statements = Arc::clone(statements);
        tokio::spawn(async move {
            for Repair { entry, revision } in repairs {
                metrics::repaired(statements.delete(entry, revision).await.is_ok());
            }
            drop(turn);
        });
    }

    pub async fn close(&self) {
        // An error says that it is closed already.
        let _ended = self.0.acquire().await;
        self.0.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::scylla::listing::fake::{NOW_MS, link};

    const ENTRY: Entry = Entry { archived: false, created_at_ms: NOW_MS, shard: 1, id: crate::link::LinkId(7) };

    fn judged(entries: &[Entry], found: Option<Found>, archived: Archived, now_ms: i64) -> (bool, Vec<Repair>) {
        let mut repairs = Vec::new();
        (judge(entries, found, archived, now_ms, &mut repairs).is_some(), repairs)
    }

    /// Seen to fail when entries were judged by their ids alone, and when repairs had the lowest revision.
    #[test]
    fn an_entry_that_its_link_contradicts_goes_by_the_revision_that_was_read() {
        let found = |archived| Some(Found { link: Link { revision: 5, archived, ..link(ENTRY) }, shard: Some(1) });
        let repair = |entry| Repair { entry, revision: 5 };
        let [exclude, include] = [Archived::Exclude, Archived::Include];
        assert_eq!(judged(&[ENTRY], found(false), exclude, NOW_MS), (true, vec![]));
        assert_eq!(judged(&[ENTRY], found(true), exclude, NOW_MS), (false, vec![repair(ENTRY)]));
        assert_eq!(judged(&[ENTRY], found(true), include, NOW_MS), (true, vec![repair(ENTRY)]));
        let both = [ENTRY, Entry { archived: true, ..ENTRY }];
        assert_eq!(judged(&both, found(true), include, NOW_MS), (true, vec![repair(ENTRY)]));
        for misplaced in [Entry { shard: 2, ..ENTRY }, Entry { created_at_ms: NOW_MS - 1, ..ENTRY }] {
            for archived in [exclude, include] {
                assert_eq!(judged(&[misplaced], found(false), archived, NOW_MS), (false, vec![repair(misplaced)]));
            }
        }
    }

    /// Seen to fail when an entry without a link was deleted at once.
    #[test]
    fn an_entry_without_a_link_stays_as_long_as_its_creation_may_go_on() {
        let late = NOW_MS + UNLINKED_KEPT_MS;
        assert_eq!(judged(&[ENTRY], None, Archived::Include, late), (false, vec![]));
        let repairs = vec![Repair { entry: ENTRY, revision: REVISION_MAX }];
        assert_eq!(judged(&[ENTRY], None, Archived::Include, late + 1), (false, repairs));
    }
}
