//! Making links under an idempotency key: once, however often it is asked for.
//!
//! 1. The record of the key names an id, and every repetition of the request makes the link of that id, or finds it made.
//! 2. A refusal is an answer, too, and is forgotten: so that no other attempt makes the link after it, a void row keeps it from coming into
//!    being before the record is removed.
//! 3. A link that was deleted leaves a void row, so an attempt that comes late does not bring it back.

use super::{
    ScyllaStore,
    attempt::Attempt,
    create::Made,
    idempotency::Record,
    metrics,
    names::{Hold, Name},
    row::Row,
};
use crate::{
    key::Key,
    link::Link,
    store::{Created, Idempotency, StoreError},
};

/// How often a creation begins again, as others ended or refused it.
const ROUNDS_MAX: u32 = 8;

impl ScyllaStore {
    /// Makes a link that may have been begun before, under another id.
    pub(super) async fn make_repeatably(&self, link: &Link, idempotency: &Idempotency) -> Result<Created, StoreError> {
        for _ in 0..ROUNDS_MAX {
            let record = self.records.put(link, idempotency).await?;
            if record.request != idempotency.request {
                return Ok(Created::IdempotencyKeyReused);
            }
            if let Some(created) = self.finish(link, &record, idempotency).await? {
                return Ok(created);
            }
        }
        Err(metrics::rounds_spent("create"))
    }

    /// Makes the link of a record, if it is not made. `None`: it never will be, and there is another record by now.
    async fn finish(
        &self,
        link: &Link,
        record: &Record,
        idempotency: &Idempotency,
    ) -> Result<Option<Created>, StoreError> {
        let own = record.id == link.id;
        if !own
            && let Some(row) = self.reader.row(record.id).await?
            && (!row.is_void() || row.was_deleted())
        {
            return replayed(row).map(Some);
        }
        let begun = self.begun(link, record)?;
        let ours = Hold::new(begun.id);
        match self.attempt(&begun, Some(&idempotency.key), ours).await? {
            Made::Made if own => Ok(Some(Created::Created)),
            Made::Made => Ok(Some(Created::Replayed(Some(Box::new(begun))))),
            Made::Before(row) if own && !row.is_void() => Ok(Some(Created::Created)),
            Made::Before(row) => replayed(*row).map(Some),
            Made::Refused { name, newly } => self.refuse(&begun, idempotency, name, newly, ours).await.map(Some),
            Made::Forestalled if own => {
                self.records.remove(begun.id, idempotency).await?;
                self.whose(link).await.map(Some)
            }
            Made::Forestalled => self.records.replace(begun.id, link, idempotency).await.map(|()| None),
        }
    }

    /// Refuses a creation for good, unless another attempt has finished it.
    async fn refuse(
        &self,
        begun: &Link,
        idempotency: &Idempotency,
        name: Name<'_>,
        newly: Vec<Name<'_>>,
        ours: Hold,
    ) -> Result<Created, StoreError> {
        if !self.writer.forestall(begun.id, Attempt::new()).await?.is_applied() {
            match self.reader.row_serially(begun.id).await? {
                Some(row) if !row.is_void() || row.was_deleted() => return replayed(row),
                Some(_) => {}
                None => return Err(StoreError::Unavailable("a refusal could not be made final".into())),
            }
        }
        self.let_go_of_ours(&newly, ours).await;
        self.records.remove(begun.id, idempotency).await?;
        Ok(name.taken())
    }

    /// The link as it was begun: what the request says, under the id and of the time of the record.
    fn begun(&self, link: &Link, record: &Record) -> Result<Link, StoreError> {
        if record.id == link.id {
            return Ok(link.clone());
        }
        let key = match &link.key {
            Key::Code(_) => {
                let code = self.codec()?.encode(record.id.0);
                Key::Code(code.ok_or_else(|| StoreError::Unreadable(format!("id {} has no code", record.id.0)))?)
            }
            alias => alias.clone(),
        };
        let (created_at_ms, updated_at_ms) = (record.made_at_ms, record.made_at_ms);
        Ok(Link { id: record.id, key, created_at_ms, updated_at_ms, ..link.clone() })
    }
}

/// What a repetition is answered when the link was made before.
fn replayed(row: Row) -> Result<Created, StoreError> {
    Ok(Created::Replayed(row.link()?.map(Box::new)))
}
