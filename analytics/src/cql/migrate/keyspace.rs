//! The keyspace: made if there is none, and otherwise left as it is.

use std::{collections::HashMap, fmt};

use scylla::client::session::Session;

use super::tablets;
use crate::cql::{
    CqlError, CqlUrl, SchemaError,
    connect::{self, Connected},
    durability::replicas,
};

/// What became of a keyspace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keyspace {
    pub name: String,
    /// Whether this call made it, or one that ran at the same time.
    pub is_new: bool,
    /// The data center of the session, whose copies are counted.
    pub datacenter: String,
    /// Copies of everything there; `None` where the keyspace's replication does not say.
    pub replicas: Option<u32>,
    /// Copies that were asked for. What exists is left alone: changing it takes a repair, and is a decision of its own.
    pub asked_for: u32,
}

impl fmt::Display for Keyspace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Keyspace { name, datacenter, asked_for, .. } = self;
        let copies = self.replicas.map_or_else(|| "an unknown number of".to_owned(), |copies| copies.to_string());
        if self.is_new {
            write!(f, "the keyspace {name} was made, with {copies} copies in the data center {datacenter}")
        } else if self.replicas == Some(*asked_for) {
            write!(f, "the keyspace {name} was there, with {copies} copies in the data center {datacenter}")
        } else {
            write!(
                f,
                "the keyspace {name} was there, with {copies} copies in the data center {datacenter}, not the {asked_for} of \
                 --replication-factor, and was left so (ALTER KEYSPACE and a repair change it)"
            )
        }
    }
}

pub struct Placed {
    pub keyspace: Keyspace,
    pub is_scylla: bool,
}

pub async fn ensure(connected: &Connected, url: &CqlUrl, replication_factor: u32) -> Result<Placed, SchemaError> {
    let Connected { session, datacenter, .. } = connected;
    let name = &url.keyspace;
    let scylla = tablets::scylla(session).await?;
    let is_new = !connect::has_keyspace(session, name).await?;
    if is_new {
        check_copies(connected, replication_factor)?;
        let tablets = scylla.as_ref().map_or("", tablets::clause);
        let statement = format!(
            "CREATE KEYSPACE IF NOT EXISTS {name} WITH replication = \
             {{'class': 'NetworkTopologyStrategy', '{}': {replication_factor}}}{tablets}",
            datacenter.replace('\'', "''")
        );
        session.query_unpaged(statement, ()).await.map_err(CqlError::from)?;
    }
    // Made by us or at the same time by another, through another node: what comes next needs it everywhere.
    let agreed = session.await_schema_agreement().await;
    agreed.map_err(|why| SchemaError::NoAgreement(why.to_string()))?;
    let keyspace = Keyspace {
        name: name.clone(),
        is_new,
        datacenter: datacenter.clone(),
        replicas: replicas(&replication(session, name).await?, datacenter),
        asked_for: replication_factor,
    };
    Ok(Placed { keyspace, is_scylla: scylla.is_some() })
}

/// Copies lie on nodes of their own.
fn check_copies(Connected { datacenter, nodes, .. }: &Connected, replication_factor: u32) -> Result<(), SchemaError> {
    match replication_factor {
        0 => Err(SchemaError::NoCopies),
        _ if replication_factor > *nodes => {
            Err(SchemaError::TooFewNodes { replication_factor, datacenter: datacenter.clone(), nodes: *nodes })
        }
        _ => Ok(()),
    }
}

async fn replication(session: &Session, keyspace: &str) -> Result<HashMap<String, String>, CqlError> {
    let select = "SELECT replication FROM system_schema.keyspaces WHERE keyspace_name = ?";
    let answer = session.query_unpaged(select, (keyspace,)).await?;
    let rows = answer.into_rows_result().map_err(CqlError::unreadable)?;
    let row = rows.maybe_first_row::<(HashMap<String, String>,)>().map_err(CqlError::unreadable)?;
    Ok(row.map(|(replication,)| replication).unwrap_or_default())
}
