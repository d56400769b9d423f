//! Names: aliases and external ids, each held by one link at a time.

use std::sync::Arc;

use analytics::cql::{Cql, CqlError, Kind, Statement};
use uuid::Uuid;

use super::{attempt::Attempt, error, row};
use crate::{
    key::{Alias, Domain, Key},
    link::{ExternalId, Link, LinkId},
    store::StoreError,
};

/// What a link may be called beside its code.
#[derive(Debug, Clone, Copy)]
pub(super) enum Name<'a> {
    Alias(&'a Domain, &'a Alias),
    ExternalId(&'a ExternalId),
}

impl<'a> Name<'a> {
    /// The names that a link has.
    pub fn all_of(link: &'a Link) -> impl Iterator<Item = Name<'a>> {
        let alias = match &link.key {
            Key::Alias(alias) => Some(Name::Alias(&link.domain, alias)),
            Key::Code(_) => None,
        };
        alias.into_iter().chain(link.external_id.as_ref().map(Name::ExternalId))
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

/// The table `names`.
#[derive(Debug)]
pub(super) struct Names {
    cql: Arc<Cql>,
    select: Statement,
}

impl Names {
    pub async fn prepare(cql: &Arc<Cql>) -> Result<Self, CqlError> {
        let select = "SELECT id, attempt FROM names WHERE kind = ? AND domain = ? AND name = ?";
        Ok(Names { select: cql.prepare(Kind::Read, select).await?, cql: Arc::clone(cql) })
    }

    /// Who holds a name. Whether the name is that link's, the link says.
    pub async fn holder(&self, name: &Name<'_>) -> Result<Option<Hold>, StoreError> {
        let rows = self.cql.rows(&self.select, name.key()).await.map_err(error)?;
        let row = rows.maybe_first_row::<(i64, Uuid)>().map_err(|error| StoreError::Unreadable(error.to_string()))?;
        Ok(row.map(|(id, attempt)| Hold { id: row::id(id), attempt: Attempt(attempt) }))
    }
}
