//! Deleting links.

use super::{
    ScyllaStore, metrics,
    names::{Hold, Name},
    row::Row,
};
use crate::{
    link::{Link, LinkId},
    store::StoreError,
};

/// How often a deletion begins again, as the link was changed since it was read.
const ROUNDS_MAX: u32 = 64;

impl ScyllaStore {
    /// Makes the link's row void: an id is never used again, and whatever comes late finds that out. What stays are some 60 bytes.
    pub(super) async fn remove(&self, id: LinkId) -> Result<Option<Link>, StoreError> {
        for _ in 0..ROUNDS_MAX {
            let Some(row) = self.reader.row(id).await? else { return Ok(None) };
            let Some(link) = row.clone().link()? else { return Ok(None) };
            let ours = Hold::new(id);
            let let_go = self.holds(&Name::all_of(&link), id).await?;
            if self.bury(&row, ours).await? {
                self.let_go(&let_go).await;
                metrics::tidied("listing", self.listing.leave(row.entry()?, link.revision + 1).await);
                return Ok(Some(link));
            }
        }
        Err(metrics::rounds_spent("delete"))
    }

    /// Whether it was this attempt that deleted the link; `false`: the link was changed or deleted since.
    async fn bury(&self, row: &Row, ours: Hold) -> Result<bool, StoreError> {
        let revision = row.revision()?;
        if self.writer.bury(ours.id, revision, ours.attempt).await?.is_applied() {
            return Ok(true);
        }
        let now = self.reader.row_serially(ours.id).await?;
        if now.as_ref().is_some_and(|now| !now.is_void() && now.revision == Some(revision)) {
            return Err(StoreError::Unavailable("a deletion was not answered, and has not been made so far".into()));
        }
        Ok(now.is_some_and(|now| now.is_by(ours.attempt)))
    }
}
