//! Names: aliases and external ids, each held by one link at a time.
//!
//! What must hold is that **a link which has a name holds it**: then no two links have one name, and the hold leads to the link that has it.
//! A hold says which link, and which attempt took the name for it. An attempt is one creation or one change, and has a base: the
//! link's row being absent, or its revision; it writes the link only while the base is what the row is.
//!
//! 1. A row of `links` only moves on: absent, then a link whose revision rises, then void. A base that is past stays past.
//! 2. A name is taken before the link is written with it, and every taking puts its own attempt into the hold.
//! 3. So a hold that was read is of an attempt whose base is no later than the row read *after* it. Once the row has moved on from there, which
//!    whoever wants the name can bring about ([`fence`](super::fence)), that attempt writes nothing any more.
//! 4. If the link does not have the name then, the hold may be taken, provided that it is still the same: a later attempt of that
//!    link would have put itself there. However late such a statement is carried out, it does no harm.
//! 5. An attempt that is refused lets go what it took itself, as long as its attempt is in the hold, and once it cannot write any more: then
//!    none after it relied on the hold. What it took over from another attempt of its link it leaves: that one may have written.
//! 6. A name that a change gives up is let go as it was held *before* the change: whoever takes it back for the same link does so after it,
//!    and is in the hold.
//!
//! A hold that is left behind is no harm, but 400 ms of patience to the next who wants the name.

use std::sync::Arc;

use analytics::cql::{Cql, CqlError, Held, Kind, Statement};
use uuid::Uuid;

use super::{answer::Answer, attempt::Attempt, error, row};
use crate::{
    key::{Alias, Domain, Key},
    link::{ExternalId, Link, LinkId},
    store::StoreError,
};

/// What a link may be called beside its code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Name<'a> {
    Alias(&'a Domain, &'a Alias),
    ExternalId(&'a ExternalId),
}

impl<'a> Name<'a> {
    /// The names of a link. The external id first: of two that are taken it is the one that is told.
    pub fn all_of(link: &'a Link) -> Vec<Self> {
        let alias = match &link.key {
            Key::Alias(alias) => Some(Name::Alias(&link.domain, alias)),
            Key::Code(_) => None,
        };
        link.external_id.as_ref().map(Name::ExternalId).into_iter().chain(alias).collect()
    }

    /// What it reads.
    pub fn as_str(&self) -> &'a str {
        match self {
            Name::Alias(_, alias) => alias.as_str(),
            Name::ExternalId(external_id) => external_id.as_str(),
        }
    }

    /// Its row's key: kind, domain, name.
    pub fn key(&self) -> (&'static str, &'a str, &'a str) {
        match self {
            Name::Alias(domain, alias) => ("alias", domain.as_str(), alias.as_str()),
            Name::ExternalId(external_id) => ("external_id", "", external_id.as_str()),
        }
    }
}

/// Who holds a name, and by which attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Hold {
    pub id: LinkId,
    pub attempt: Attempt,
}

impl Hold {
    /// For a new attempt.
    pub fn new(id: LinkId) -> Self {
        Hold { id, attempt: Attempt::new() }
    }

    fn read(held: &Held) -> Result<Self, StoreError> {
        match (held.bigint("id"), held.uuid("attempt")) {
            (Some(id), Some(attempt)) => Ok(Hold { id: row::id(id), attempt: Attempt(attempt) }),
            _ => Err(StoreError::Unreadable(format!("a name is held by {held:?}"))),
        }
    }
}

/// The table `names`.
#[derive(Debug)]
pub(super) struct Names {
    cql: Arc<Cql>,
    select: Statement,
    insert: Statement,
    update: Statement,
    delete: Statement,
}

impl Names {
    pub async fn prepare(cql: &Arc<Cql>) -> Result<Self, CqlError> {
        let select = "SELECT id, attempt FROM names WHERE kind = ? AND domain = ? AND name = ?";
        let insert = "INSERT INTO names (kind, domain, name, id, attempt) VALUES (?, ?, ?, ?, ?) IF NOT EXISTS";
        let update = "UPDATE names SET id = ?, attempt = ? WHERE kind = ? AND domain = ? AND name = ? \
                      IF id = ? AND attempt = ?";
        let delete = "DELETE FROM names WHERE kind = ? AND domain = ? AND name = ? IF id = ? AND attempt = ?";
        Ok(Names {
            select: cql.prepare(Kind::Read, select).await?,
            insert: cql.prepare(Kind::Conditional, insert).await?,
            update: cql.prepare(Kind::Conditional, update).await?,
            delete: cql.prepare(Kind::Conditional, delete).await?,
            cql: Arc::clone(cql),
        })
    }

    /// Who holds a name. Whether the name is that link's, the link says.
    pub async fn holder(&self, name: &Name<'_>) -> Result<Option<Hold>, StoreError> {
        let rows = self.cql.rows(&self.select, name.key()).await.map_err(error)?;
        let row = rows.maybe_first_row::<(i64, Uuid)>().map_err(|error| StoreError::Unreadable(error.to_string()))?;
        Ok(row.map(|(id, attempt)| Hold { id: row::id(id), attempt: Attempt(attempt) }))
    }

    /// Takes a name that nobody holds. Who holds it then; `None`: nobody does, for all one knows, and this may be sent again.
    pub async fn take(&self, name: &Name<'_>, hold: Hold) -> Result<Option<Hold>, StoreError> {
        let (kind, domain, text) = name.key();
        let values = (kind, domain, text, row::bigint(hold.id), hold.attempt.0);
        match Answer::of(&self.cql, &self.insert, values).await? {
            Answer::Applied => Ok(Some(hold)),
            Answer::Refused(held) => Hold::read(&held).map(Some),
            Answer::Lost => self.holder(name).await,
        }
    }

    /// Puts one hold in the place of another. `false`: perhaps not.
    pub async fn take_over(&self, name: &Name<'_>, from: Hold, to: Hold) -> Result<bool, StoreError> {
        let (kind, domain, text) = name.key();
        let (from_id, to_id) = (row::bigint(from.id), row::bigint(to.id));
        let values = (to_id, to.attempt.0, kind, domain, text, from_id, from.attempt.0);
        Answer::of(&self.cql, &self.update, values).await.map(|answer| answer.is_applied())
    }

    /// Ends a hold, if it is still this one.
    pub async fn let_go(&self, name: &Name<'_>, hold: Hold) -> Result<(), StoreError> {
        let (kind, domain, text) = name.key();
        let values = (kind, domain, text, row::bigint(hold.id), hold.attempt.0);
        self.cql.conditional(&self.delete, values).await.map(drop).map_err(error)
    }
}
