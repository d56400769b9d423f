//! Moves an id space out of an embedded lease store into a token service's database: its key, how far it is leased, every lease on
//! record and the totals.
//!
//! At no moment may both lease: link stores that were copied, and are no longer one, would each grant the claims that keep an id
//! from being used twice. So the order is
//!
//! 1. the source is marked, from which on it leases nothing;
//! 2. one transaction of the destination takes over everything;
//! 3. the mark is completed.
//!
//! Cut off between 1 and 2, nobody leases until the same move is repeated, or [undone](Destination::undo); between 2 and 3, the destination leases and
//! the source does not, and repeating the move completes the mark. The mark names the destination, by the fingerprint of the id space
//! that one made for itself when it was migrated: while it is not known whether a first database took the id space over, no second
//! one does.
//!
//! The destination must not have leased: no lease on record, and no totals. That its own key was never handed out cannot be known;
//! links that were pinned to it are refused from then on, by their fingerprint.
//!
//! Open leases of the source stay open. Their ends are as the source's clock wrote them, and pass by the destination's: where the two
//! differ, they expire so much early or late, their blocks are leased again, and the claims decide.

#[cfg(test)]
mod tests;

use async_trait::async_trait;
use sqlx::error::BoxDynError;
use tokio::time::{Duration, error::Elapsed, timeout};

use crate::{
    Fingerprint, LeaseId, LeaseStore,
    ledger::{
        Ledger,
        space::{Space, Totals},
        tables::{Database, Tables},
        whole::{CopyError, WholeTables, copy},
    },
    sqlite::{Mark, Source},
};

/// How long the destination's row is waited for, which an earlier move that was cut off may hold until it is rolled back.
const LOCK_LIMIT: Duration = Duration::from_secs(120);

/// How long a commit may take.
const COMMIT_LIMIT: Duration = Duration::from_secs(120);

/// How a move went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Adopted {
    pub fingerprint: Fingerprint,
    /// Blocks that were leased at least once.
    pub ever_leased: u64,
    /// Leases that were copied; `None` when the destination had them already.
    pub copied: Option<u64>,
}

/// Why an id space was not moved.
#[derive(Debug, thiserror::Error)]
pub enum AdoptError {
    #[error(
        "the database is of the id space {theirs} and has leases of it on record; the id space {ours} cannot be moved into it: name a \
         database that was not used yet"
    )]
    OfAnother { ours: Fingerprint, theirs: Fingerprint },
    #[error(
        "the database has the id space {ours} already, but not as far as this lease store ({theirs_blocks} blocks leased there, \
         {ours_blocks} here): one of the two is an older copy, which must not be used"
    )]
    Behind { ours: Fingerprint, theirs_blocks: u32, ours_blocks: u32 },
    #[error(
        "the id space {ours} was moved to another database than this one, which is of {theirs}: start with --leases http://... of that one"
    )]
    MovedElsewhere { ours: Fingerprint, theirs: Fingerprint },
    #[error(
        "moving the id space {ours} to another database was begun and may have been completed there: the one that was of {begun}, while \
         this one is of {theirs}. Name that database"
    )]
    BegunElsewhere { ours: Fingerprint, begun: Fingerprint, theirs: Fingerprint },
    #[error("the database has the id space {0}: the move cannot be undone any more")]
    TooLate(Fingerprint),
    #[error("the lease store cannot be read or marked: {0}")]
    Source(#[source] BoxDynError),
    #[error("the database failed: {0}")]
    Destination(#[source] BoxDynError),
    #[error(
        "the database did not say whether it has committed ({0}): run the same `septet-token-service adopt` again, which finds out"
    )]
    Unknown(#[source] BoxDynError),
}

impl From<CopyError> for AdoptError {
    fn from(error: CopyError) -> Self {
        match error {
            CopyError::Source(error) => AdoptError::Source(error.into()),
            CopyError::Destination(error) => AdoptError::Destination(error.into()),
        }
    }
}

fn in_source(error: sqlx::Error) -> AdoptError {
    CopyError::Source(error).into()
}

fn in_destination(error: sqlx::Error) -> AdoptError {
    CopyError::Destination(error).into()
}

fn late(after: Elapsed) -> AdoptError {
    AdoptError::Destination(after.into())
}

/// A migrated database that an id space can be moved into.
#[async_trait]
pub trait Destination: LeaseStore {
    /// Moves the source's id space here. Repeating it is fine, and completes what was cut off.
    ///
    /// # Errors
    /// A sentence for a person. The source then leases as before, unless this is a repetition, or it is not known whether the
    /// destination has committed.
    async fn adopt(&self, source: &Source) -> Result<Adopted, AdoptError>;

    /// Lets the source lease again after a move to here that was cut off before anything was committed.
    ///
    /// # Errors
    /// A sentence for a person; everything is then as it was.
    async fn undo(&self, source: &Source) -> Result<(), AdoptError>;
}

#[async_trait]
impl<D> Destination for Ledger<D>
where
    D: Database,
    D::Transaction: WholeTables,
{
    async fn adopt(&self, source: &Source) -> Result<Adopted, AdoptError> {
        let before = source.mark().await.map_err(in_source)?;
        let mark = match before {
            Some(mark) => mark,
            None => {
                let destination = fingerprint(self.database()).await?;
                source.leave_for(destination).await.map_err(in_source)?;
                Mark { destination, done: false }
            }
        };
        match take_over(source, mark, self.database()).await {
            Ok(adopted) => {
                source.left().await.map_err(in_source)?;
                Ok(adopted)
            }
            Err(error) => {
                // Only what this call has marked: of an earlier one, nobody knows how it ended.
                if before.is_none() && !matches!(error, AdoptError::Unknown(_)) {
                    source.stay().await.map_err(in_source)?;
                }
                Err(error)
            }
        }
    }

    async fn undo(&self, source: &Source) -> Result<(), AdoptError> {
        // A commit of the move that was cut off, and is still under way, comes before the lock.
        let (mut tables, _) = lock(self.database()).await?;
        let theirs = tables.id_space().await.map_err(in_destination)?.fingerprint();
        let ours = source.fingerprint();
        match source.mark().await.map_err(in_source)? {
            _ if theirs == ours => Err(AdoptError::TooLate(ours)),
            None => Ok(()),
            Some(mark) if mark.done => Err(AdoptError::MovedElsewhere { ours, theirs }),
            Some(mark) if mark.destination != theirs => {
                Err(AdoptError::BegunElsewhere { ours, begun: mark.destination, theirs })
            }
            Some(_) => source.stay().await.map_err(in_source),
        }
    }
}

/// The transaction of the destination.
async fn take_over<D>(source: &Source, mark: Mark, destination: &D) -> Result<Adopted, AdoptError>
where
    D: Database,
    D::Transaction: WholeTables,
{
    let (mut to, taken) = lock(destination).await?;
    let mut from = source.begin_reading().await.map_err(in_source)?;
    let given = from.lock_space().await.map_err(in_source)?;
    let theirs = to.id_space().await.map_err(in_destination)?.fingerprint();
    let ours = source.fingerprint();
    let adopted = Adopted { fingerprint: ours, ever_leased: given.high_water.into(), copied: None };
    if theirs == ours {
        return if is_as_far(&taken, &given) {
            Ok(adopted)
        } else {
            Err(AdoptError::Behind { ours, theirs_blocks: taken.high_water, ours_blocks: given.high_water })
        };
    }
    if mark.done {
        return Err(AdoptError::MovedElsewhere { ours, theirs });
    }
    if theirs != mark.destination {
        return Err(AdoptError::BegunElsewhere { ours, begun: mark.destination, theirs });
    }
    if was_used(&mut to, &taken).await.map_err(in_destination)? {
        return Err(AdoptError::OfAnother { ours, theirs });
    }
    let copied = copy(&mut from, &mut to).await?;
    match timeout(COMMIT_LIMIT, Tables::commit(to)).await {
        Ok(Ok(())) => Ok(Adopted { copied: Some(copied), ..adopted }),
        Ok(Err(error)) => Err(AdoptError::Unknown(error.into())),
        Err(late) => Err(AdoptError::Unknown(late.into())),
    }
}

async fn fingerprint<D>(destination: &D) -> Result<Fingerprint, AdoptError>
where
    D: Database,
    D::Transaction: WholeTables,
{
    let (mut tables, _) = lock(destination).await?;
    Ok(tables.id_space().await.map_err(in_destination)?.fingerprint())
}

/// Begins a transaction that holds the id space's row.
async fn lock<D: Database>(destination: &D) -> Result<(D::Transaction, Space), AdoptError> {
    let locking = async {
        loop {
            let mut tables = destination.begin().await?;
            match tables.lock_space().await {
                Ok(space) => return Ok((tables, space)),
                Err(error) if destination.is_conflict(&error) => tracing::info!("waiting for another transaction"),
                Err(error) => return Err(error),
            }
        }
    };
    timeout(LOCK_LIMIT, locking).await.map_err(late)?.map_err(in_destination)
}

async fn was_used(tables: &mut impl WholeTables, space: &Space) -> Result<bool, sqlx::Error> {
    let fresh = space.high_water == 0 && space.next_lease == LeaseId(1) && space.totals == Totals::default();
    Ok(!fresh || !tables.leases_after(None, 1).await?.is_empty() || !tables.runs_from(0, 1).await?.is_empty())
}

/// Whether everything that was leased by `given` is on record in `taken`, of the same id space.
fn is_as_far(taken: &Space, given: &Space) -> bool {
    taken.high_water >= given.high_water
        && taken.next_lease >= given.next_lease
        && taken.totals.handed_out >= given.totals.handed_out
}
