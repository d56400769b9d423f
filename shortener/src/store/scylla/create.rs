//! Making links.

use std::time::Duration;

use tokio::time::sleep;

use super::{
    ScyllaStore,
    answer::Answer,
    listing::Entry,
    metrics,
    names::{Hold, Name},
    row::Row,
    values::NewRow,
};
use crate::{
    link::Link,
    store::{Created, Creation, StoreError},
};

/// How long a creation that was ended by another waits for that one's link, look by look.
const LOOKS: [Duration; 4] =
    [Duration::ZERO, Duration::from_millis(20), Duration::from_millis(60), Duration::from_millis(180)];

/// What came of one attempt to make a link.
#[derive(Debug)]
pub(super) enum Made<'a> {
    /// The link is there, by this attempt.
    Now,
    /// It was there already, by an earlier attempt, and this is its row now.
    Before(Box<Row>),
    /// Another link has this name. These were taken meanwhile, and are still held.
    Refused { name: Name<'a>, newly: Vec<Name<'a>> },
    /// Another attempt at one of its names has kept it from coming into being, for ever.
    Forestalled,
}

impl Name<'_> {
    /// What is answered when another link has it.
    pub(super) fn taken(&self) -> Created {
        match self {
            Name::Alias(..) => Created::AliasTaken,
            Name::ExternalId(_) => Created::ExternalIdTaken,
        }
    }
}

impl ScyllaStore {
    pub(super) async fn make(&self, creation: Creation) -> Result<Created, StoreError> {
        let Creation { link, idempotency } = creation;
        match idempotency {
            Some(idempotency) => self.make_repeatably(&link, &idempotency).await,
            None if Name::all_of(&link).is_empty() => self.bear(&link).await.map(|()| Created::Created),
            None => self.make_once(&link).await,
        }
    }

    /// Makes a link of which there is nothing but its id: listed first, so that a link which is there is listed.
    async fn bear(&self, link: &Link) -> Result<(), StoreError> {
        let entry = self.new_entry(link);
        self.listing.enter(entry, link.revision).await?;
        self.writer.bear(NewRow::of(link, entry.shard, None, None)).await
    }

    /// Makes a link of which there is only this one attempt.
    async fn make_once(&self, link: &Link) -> Result<Created, StoreError> {
        let ours = Hold::new(link.id);
        match self.attempt(link, None, ours).await? {
            Made::Now | Made::Before(_) => Ok(Created::Created),
            Made::Refused { name, newly } => {
                self.let_go_of_ours(&newly, ours).await;
                Ok(name.taken())
            }
            Made::Forestalled => self.whose(link).await,
        }
    }

    /// One attempt to make a link: its names are taken, it is listed, it is written.
    pub(super) async fn attempt<'a>(
        &self,
        link: &'a Link,
        idempotency_key: Option<&[u8]>,
        ours: Hold,
    ) -> Result<Made<'a>, StoreError> {
        let taking = self.take(&Name::all_of(link), ours).await?;
        if let Some(name) = taking.refused {
            return Ok(Made::Refused { name, newly: taking.newly });
        }
        let entry = self.new_entry(link);
        self.listing.enter(entry, link.revision).await?;
        let row = NewRow::of(link, entry.shard, idempotency_key, Some(ours.attempt));
        if let Answer::Applied = self.writer.make(row).await? {
            return Ok(Made::Now);
        }
        let Some(row) = self.reader.row_serially(link.id).await? else {
            return Err(StoreError::Unavailable("a new link was not answered, and is not there so far".into()));
        };
        if row.is_by(ours.attempt) {
            return Ok(Made::Now);
        }
        if row.is_void() {
            metrics::tidied("listing", self.listing.leave(entry, link.revision).await);
            self.let_go_of_ours(&taking.newly, ours).await;
            return Ok(if row.was_deleted() { Made::Before(Box::new(row)) } else { Made::Forestalled });
        }
        let there = row.entry()?;
        if (there.shard, there.created_at_ms) != (entry.shard, entry.created_at_ms) {
            metrics::tidied("listing", self.listing.leave(entry, link.revision).await);
        }
        if row.idempotency_key.as_deref() == idempotency_key && row.created_at_ms == Some(link.created_at_ms) {
            return Ok(Made::Before(Box::new(row)));
        }
        self.let_go_of_ours(&taking.newly, ours).await;
        Err(StoreError::Unreadable(format!("the id {} of a new link is in use", link.id.0)))
    }

    /// Who has a name of a creation that was ended by another.
    pub(super) async fn whose(&self, link: &Link) -> Result<Created, StoreError> {
        for pause in LOOKS {
            sleep(pause).await;
            for name in Name::all_of(link) {
                let Some(hold) = self.names.holder(&name).await?.filter(|hold| hold.id != link.id) else { continue };
                if self.reader.row_serially(hold.id).await?.is_some_and(|row| row.has(&name)) {
                    return Ok(name.taken());
                }
            }
        }
        Err(metrics::rounds_spent("find_name"))
    }

    fn new_entry(&self, link: &Link) -> Entry {
        let shard = self.listing.shard(link.created_at_ms);
        Entry { archived: link.archived, created_at_ms: link.created_at_ms, shard, id: link.id }
    }
}
