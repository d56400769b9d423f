//! How a session begins: who is asked, as whom, over TLS or not, and in which data center.

use std::{collections::BTreeSet, path::PathBuf, time::Duration};

use scylla::client::{session::Session, session_builder::SessionBuilder};

use super::{CqlError, CqlUrl};

/// How long a node may take to let a session in.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Which cluster, and how to speak to it.
#[derive(Debug, Clone)]
pub struct CqlOptions {
    pub url: CqlUrl,
    /// Instead of the URL's.
    pub password: Option<String>,
    /// TLS, with the certificates that are believed, as a PEM file; `None`: no TLS.
    pub tls_ca: Option<PathBuf>,
    /// Where this instance runs. `None`: the only data center there is.
    pub datacenter: Option<String>,
    /// How long one statement may take.
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
}

/// Opens a session on the keyspace of the URL.
pub(super) async fn connect(options: &CqlOptions) -> Result<Connected, CqlError> {
    let builder = builder(options)?.use_keyspace(&options.url.keyspace, false);
    open(options, builder).await
}

/// A session's settings, but for the keyspace.
pub(super) fn builder(options: &CqlOptions) -> Result<SessionBuilder, CqlError> {
    let mut builder = SessionBuilder::new()
        .known_nodes(&options.url.nodes)
        .connection_timeout(CONNECT_TIMEOUT)
        // What routing needs: which node has which row.
        .keyspaces_to_fetch([&options.url.keyspace])
        .fetch_full_schema_metadata(false)
        .driver_config_reporting(false);
    let password = options.password.as_ref().or(options.url.password.as_ref());
    if let Some(user) = &options.url.user {
        let password = password
            .ok_or_else(|| CqlError::Setting(format!("{} names a user, and there is no password", options.url)))?;
        builder = builder.user(user, password);
    }
    if let Some(datacenter) = &options.datacenter {
        builder = builder.prefer_datacenter(datacenter.clone());
    }
    Ok(builder)
}

pub(super) async fn open(options: &CqlOptions, builder: SessionBuilder) -> Result<Connected, CqlError> {
    let connect = |cause| CqlError::Connect { url: options.url.to_string(), cause };
    let session = builder.build().await.map_err(connect)?;
    let state = session.get_cluster_state();
    let datacenters: BTreeSet<_> = state.get_nodes_info().iter().filter_map(|node| node.datacenter.clone()).collect();
    let datacenter = choose(options.datacenter.as_deref(), datacenters)?;
    Ok(Connected { session, datacenter })
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
