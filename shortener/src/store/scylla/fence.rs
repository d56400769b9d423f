//! Waiting for the end of another's attempt, and bringing it about.

use std::time::Duration;

use tokio::time::sleep;

use super::{
    ScyllaStore,
    attempt::Attempt,
    metrics,
    names::{Hold, Name},
    row::Row,
};
use crate::store::StoreError;

/// How long an attempt that holds a name may go on undisturbed, look by look: most end long before, and whoever is ended begins again.
/// Nothing but courtesy hangs on it.
const PATIENCE: [Duration; 4] =
    [Duration::from_millis(10), Duration::from_millis(30), Duration::from_millis(90), Duration::from_millis(270)];

/// Statements sent to end one attempt.
const FENCES_MAX: u32 = 4;

/// What has become of another's hold on a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// Its link has the name.
    Has,
    /// Its link does not have the name, and its attempt will never write it.
    Past,
    /// It is not there any more.
    Gone,
}

impl ScyllaStore {
    /// Waits until another's hold has come to something or to nothing. Who takes too long is ended: a link's revision is raised, and where there is
    /// no link, a void row keeps it from coming into being.
    pub(super) async fn outlast(&self, name: &Name<'_>, hold: Hold) -> Result<Standing, StoreError> {
        let mut row = self.reader.row_serially(hold.id).await?;
        let base = row.as_ref().map(|row| row.revision);
        let mut patience = PATIENCE.into_iter();
        for _ in 0..PATIENCE.len() + FENCES_MAX as usize {
            match &row {
                Some(row) if row.has(name) => return Ok(Standing::Has),
                Some(row) if row.is_void() || base != Some(row.revision) => return Ok(Standing::Past),
                _ => {}
            }
            match patience.next() {
                Some(pause) => {
                    sleep(pause).await;
                    if self.names.holder(name).await? != Some(hold) {
                        return Ok(Standing::Gone);
                    }
                }
                None => self.fence(hold, row.as_ref()).await?,
            }
            row = self.reader.row_serially(hold.id).await?;
        }
        Err(metrics::rounds_spent("end_attempt"))
    }

    /// Moves the holder's row on from what was read. Whether this or something else did, the next look shows.
    async fn fence(&self, hold: Hold, row: Option<&Row>) -> Result<(), StoreError> {
        metrics::fenced();
        match row {
            Some(row) => self.writer.raise(hold.id, row.revision()?, Attempt::new()).await.map(drop),
            None => self.writer.forestall(hold.id, Attempt::new()).await.map(drop),
        }
    }
}
