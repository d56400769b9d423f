//! Changing links.

use super::{
    ScyllaStore,
    answer::Answer,
    listing::Entry,
    metrics,
    names::{Hold, Name},
    row::Row,
    values::ChangedRow,
};
use crate::{
    link::Link,
    store::{Replaced, StoreError},
};

/// What came of the one statement that changes a link.
enum Written<'a> {
    Written,
    /// It was made for a revision that is past. These names may be let go.
    Stale(Vec<Name<'a>>),
}

impl ScyllaStore {
    pub(super) async fn change(&self, before: &Link, after: &Link) -> Result<Replaced, StoreError> {
        let (had, has) = (Name::all_of(before), Name::all_of(after));
        let gained: Vec<_> = has.iter().filter(|name| !had.contains(name)).copied().collect();
        let lost: Vec<_> = had.into_iter().filter(|name| !has.contains(name)).collect();
        let ours = Hold::new(before.id);

        let left = if before.archived == after.archived {
            None
        } else {
            let Some(row) = self.reader.row(before.id).await?.filter(|row| !row.is_void()) else {
                return Ok(Replaced::Stale);
            };
            Some(Entry { archived: before.archived, ..row.entry()? })
        };
        let taking = self.take(&gained, ours).await?;
        if let Some(name) = taking.refused {
            self.let_go_of_ours(&taking.newly, ours).await;
            return Ok(match name {
                Name::Alias(..) => Replaced::AliasTaken,
                Name::ExternalId(_) => Replaced::ExternalIdTaken,
            });
        }
        let let_go = self.holds(&lost, before.id).await?;
        if let Some(left) = left {
            self.listing.enter(Entry { archived: after.archived, ..left }, after.revision).await?;
        }

        match self.write_change(before, after, ours, taking.newly).await? {
            Written::Written => {
                self.let_go(&let_go).await;
                if let Some(left) = left {
                    metrics::tidied("listing", self.listing.leave(left, after.revision).await);
                }
                Ok(Replaced::Replaced)
            }
            Written::Stale(newly) => {
                self.let_go_of_ours(&newly, ours).await;
                Ok(Replaced::Stale)
            }
        }
    }

    async fn write_change<'a>(
        &self,
        before: &Link,
        after: &Link,
        ours: Hold,
        newly: Vec<Name<'a>>,
    ) -> Result<Written<'a>, StoreError> {
        if let Answer::Applied = self.writer.change(ChangedRow::of(before, after, ours.attempt)).await? {
            return Ok(Written::Written);
        }
        match self.reader.row_serially(before.id).await? {
            Some(row) if row.is_by(ours.attempt) => Ok(Written::Written),
            Some(row) if !row.is_void() && row.revision()? == before.revision.cast_signed() => {
                Err(StoreError::Unavailable("a change was not answered, and has not been made so far".into()))
            }
            // It may have been made and been changed again: then the link may still have the names.
            row => {
                let has = |name: &Name<'_>| row.as_ref().is_some_and(|row: &Row| row.has(name));
                Ok(Written::Stale(newly.into_iter().filter(|name| !has(name)).collect()))
            }
        }
    }
}
