//! How a session begins: who is asked, as whom, over TLS or not, and in which data center.

use std::{collections::BTreeSet, path::PathBuf, time::Duration};

use scylla::{
    client::{session::Session, session_builder::SessionBuilder},
    errors::NewSessionError,
};
use tokio::time::timeout;

use super::{CqlError, CqlUrl, tls};

/// How long a node may take to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// How long a session may take to begin: nodes that accept a connection and say nothing are not waited for for ever.
const OPEN_TIMEOUT: Duration = Duration::from_secs(15);

/// How long the nodes may take to agree on the tables after one was made.
pub(super) const AGREEMENT_TIMEOUT: Duration = Duration::from_secs(20);
/// How often nodes are asked whether they do: they need some milliseconds, and a migration waits for each of its statements.
const AGREEMENT_INTERVAL: Duration = Duration::from_millis(20);

/// Which cluster, and how to speak to it.
#[derive(Debug, Clone)]
pub struct CqlOptions {
    pub url: CqlUrl,
    /// Instead of the URL's.
    pub password: Option<String>,
    /// TLS, with the certificates that are believed, as a PEM file; `None`: no TLS. What a node's certificate must say: [`tls`](super::tls).
    pub tls_ca: Option<PathBuf>,
    /// Where this instance runs. `None`: the only data center there is.
    pub datacenter: Option<String>,
    /// How long one statement may take, with all that is tried for it.
    pub request_timeout: Duration,
}

impl CqlOptions {
    /// Statements may take half a second, which is ten times what a conditional one takes on a busy cluster.
    pub fn new(url: CqlUrl) -> Self {
        CqlOptions { url, password: None, tls_ca: None, datacenter: None, request_timeout: Duration::from_millis(500) }
    }
}

/// A session, and the data center that it is for.
pub(super) struct Connected {
    pub session: Session,
    pub datacenter: String,
    /// Nodes of the data center, whether they are up or not.
    pub nodes: u32,
}

/// Opens a session on the keyspace of the URL.
pub(super) async fn connect(options: &CqlOptions) -> Result<Connected, CqlError> {
    let connected = open(options).await?;
    if !has_keyspace(&connected.session, &options.url.keyspace).await? {
        return Err(CqlError::NoKeyspace { url: options.url.to_string() });
    }
    use_keyspace(&connected.session, &options.url).await?;
    Ok(connected)
}

/// Opens a session without a keyspace.
pub(super) async fn open(options: &CqlOptions) -> Result<Connected, CqlError> {
    let unreachable = |why: String| CqlError::Unreachable { url: options.url.to_string(), why };
    let session = timeout(OPEN_TIMEOUT, builder(options)?.build())
        .await
        .map_err(|_| unreachable(format!("no session after {} seconds", OPEN_TIMEOUT.as_secs())))?
        .map_err(|cause| CqlError::connecting(&options.url, &cause))?;
    let state = session.get_cluster_state();
    let places: Vec<_> = state.get_nodes_info().iter().filter_map(|node| node.datacenter.clone()).collect();
    // The driver lets a session begin whose first look at the cluster has failed.
    if places.is_empty() {
        return Err(unreachable("no node says who is in the cluster".to_owned()));
    }
    let datacenter = choose(options.datacenter.as_deref(), places.iter().cloned().collect())?;
    let nodes = places.iter().filter(|place| **place == datacenter).count();
    Ok(Connected { session, datacenter, nodes: u32::try_from(nodes).unwrap_or(u32::MAX) })
}

/// As the asked node knows.
pub(super) async fn has_keyspace(session: &Session, keyspace: &str) -> Result<bool, CqlError> {
    let select = "SELECT keyspace_name FROM system_schema.keyspaces WHERE keyspace_name = ?";
    let answer = session.query_unpaged(select, (keyspace,)).await?;
    Ok(answer.into_rows_result().map_err(CqlError::unreadable)?.rows_num() > 0)
}

pub(super) async fn use_keyspace(session: &Session, url: &CqlUrl) -> Result<(), CqlError> {
    let cause = session.use_keyspace(&url.keyspace, false).await;
    cause.map_err(|cause| CqlError::connecting(url, &NewSessionError::UseKeyspaceError(cause)))
}

fn builder(options: &CqlOptions) -> Result<SessionBuilder, CqlError> {
    let mut builder = SessionBuilder::new()
        .known_nodes(&options.url.nodes)
        .connection_timeout(CONNECT_TIMEOUT)
        .schema_agreement_timeout(AGREEMENT_TIMEOUT)
        .schema_agreement_interval(AGREEMENT_INTERVAL)
        // What routing needs: which node has which row.
        .keyspaces_to_fetch([&options.url.keyspace])
        .fetch_full_schema_metadata(false)
        .driver_config_reporting(false);
    let password = options.password.as_ref().or(options.url.password.as_ref());
    if let Some(user) = &options.url.user {
        let password = password
            .ok_or_else(|| CqlError::Setting(format!("{} is for a user, and there is no password", options.url)))?;
        builder = builder.user(user, password);
    } else if password.is_some() {
        return Err(CqlError::Setting(format!("there is a password, and {} names no user", options.url)));
    }
    if let Some(ca) = &options.tls_ca {
        builder = builder.tls_context(Some(tls::believing(ca)?));
    }
    if let Some(datacenter) = &options.datacenter {
        builder = builder.prefer_datacenter(datacenter.clone());
    }
    Ok(builder)
}

/// A quorum is counted in one data center: which one must be clear.
fn choose(set: Option<&str>, there: BTreeSet<String>) -> Result<String, CqlError> {
    let named = there.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
    match set {
        Some(set) if there.contains(set) => Ok(set.to_owned()),
        Some(set) => Err(CqlError::Setting(format!("the cluster has no data center {set:?}; it has {named}"))),
        None if there.len() == 1 => Ok(named),
        None => Err(CqlError::Setting(format!("the cluster has the data centers {named}: say which one is near"))),
    }
}
