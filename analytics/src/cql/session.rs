//! A session with a cluster: statements are prepared as what they are, and run.

use std::{sync::Arc, time::Duration};

use scylla::{
    client::{
        execution_profile::{ExecutionProfile, ExecutionProfileHandle},
        session::Session,
    },
    errors::ExecutionError,
    observability::metrics::Metrics,
    policies::{
        load_balancing::{DefaultPolicy, LoadBalancingPolicy},
        retry::{DefaultRetryPolicy, FallthroughRetryPolicy},
        speculative_execution::SimpleSpeculativeExecutionPolicy,
    },
    response::query_result::QueryRowsResult,
    serialize::row::SerializeRow,
    statement::{
        Consistency, SerialConsistency,
        batch::{Batch, BatchType},
        prepared::PreparedStatement,
    },
};

use tokio::time::timeout;

use super::{
    Conditional, CqlError, CqlOptions, SchemaError,
    connect::{self, Connected},
};

/// What a statement is, which decides all that the driver may do with it.
///
/// | | replicas | sent again after a failure | to a second node while the first is slow |
/// |---|---|---|---|
/// | `Read` | `LOCAL_QUORUM` | to the other nodes, each once | after [`SECOND_NODE_AFTER`] |
/// | `Write` | `LOCAL_QUORUM` | to the other nodes, each once | after [`SECOND_NODE_AFTER`] |
/// | `Conditional` | `SERIAL`, then `LOCAL_QUORUM` | never | never |
/// | `SerialRead` | `SERIAL` | never | never |
///
/// All of what is tried for a statement has the one [`request_timeout`](CqlOptions::request_timeout). What is sent again is what broke off, and what
/// a node says it has not done; a node that says that too few replicas answered it in time is believed. A node without a
/// connection is passed over by every kind: nothing was sent to it. So is one that has to be taught the statement first, which
/// refuses it before it does anything.
///
/// Reads and writes both ask a quorum, so that what was answered is what is read, whichever replicas answer: an edit is seen at once by
/// whoever looks, and an absence is one. A read at `ONE` would be half the work and would find, on a replica that was away, a link as it
/// was hours ago.
///
/// A `Write` carries its own timestamp (`USING TIMESTAMP`), so sending it twice changes nothing. A `Conditional` statement is never sent twice: the second
/// would be refused for the first one's sake, and be taken for a refusal; what got no answer is read back by a `SerialRead`,
/// which first completes or ends what is under way. Conditions hold across data centers (`SERIAL`, not `LOCAL_SERIAL`):
/// a block must be granted once in the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Read,
    Write,
    Conditional,
    SerialRead,
}

/// How long one node may think about a read or a plain write before another one is asked as well.
pub const SECOND_NODE_AFTER: Duration = Duration::from_millis(100);

/// How long the nodes may take to prepare a statement.
const PREPARE_TIMEOUT: Duration = Duration::from_secs(10);

/// A prepared statement of one kind.
#[derive(Debug, Clone)]
pub struct Statement(PreparedStatement);

/// A session with a cluster, on one keyspace.
#[derive(Debug)]
pub struct Cql {
    session: Session,
    profiles: Profiles,
    keyspace: String,
    datacenter: String,
    #[cfg(feature = "conformance")]
    faults: super::Faults,
}

impl Cql {
    /// A session with a keyspace that [`migrate`](super::migrate()) has made. Whether its tables are those of this version,
    /// [`check`](super::check) tells.
    pub async fn connect(options: &CqlOptions) -> Result<Self, CqlError> {
        Ok(Self::on(connect::connect(options).await?, options))
    }

    /// On a session that uses the keyspace of the URL.
    pub(super) fn on(connected: Connected, options: &CqlOptions) -> Self {
        Cql {
            profiles: Profiles::new(options.request_timeout, &connected.datacenter),
            session: connected.session,
            keyspace: options.url.keyspace.clone(),
            datacenter: connected.datacenter,
            #[cfg(feature = "conformance")]
            faults: super::Faults::default(),
        }
    }

    /// Prepares a statement on the keyspace of the session, on every node that is there. One that is away now, or forgets it,
    /// is taught it when it is first asked.
    pub async fn prepare(&self, kind: Kind, statement: &str) -> Result<Statement, CqlError> {
        // The driver asks all nodes, and waits for all of them without an end.
        let prepared = timeout(PREPARE_TIMEOUT, self.session.prepare(statement)).await;
        let late = |_| CqlError::from(ExecutionError::RequestTimeout(PREPARE_TIMEOUT));
        let mut prepared = prepared.map_err(late)?.map_err(|cause| CqlError::preparing(statement, &cause))?;
        prepared.set_execution_profile_handle(Some(self.profiles.of(kind).clone()));
        // A second attempt at a serial read, too, is up to whoever asks.
        prepared.set_is_idempotent(matches!(kind, Kind::Read | Kind::Write));
        // A conditional statement's columns differ from answer to answer.
        prepared.set_use_cached_result_metadata(kind == Kind::Read);
        Ok(Statement(prepared))
    }

    /// Runs a read. All of its rows come at once: the statement has a `LIMIT`, or names its rows.
    pub async fn rows(&self, statement: &Statement, values: impl SerializeRow) -> Result<QueryRowsResult, CqlError> {
        let answer = self.ask(Box::pin(self.session.execute_unpaged(&statement.0, values))).await?;
        answer.into_rows_result().map_err(CqlError::unreadable)
    }

    /// Runs a plain write.
    pub async fn write(&self, statement: &Statement, values: impl SerializeRow) -> Result<(), CqlError> {
        self.ask(Box::pin(self.session.execute_unpaged(&statement.0, values))).await?;
        Ok(())
    }

    /// Runs a conditional statement, once.
    pub async fn conditional(&self, statement: &Statement, values: impl SerializeRow) -> Result<Conditional, CqlError> {
        Conditional::read(&self.rows(statement, values).await?)
    }

    /// Starts a batch of conditional statements on one partition: all of them apply, or none.
    pub fn conditional_batch(&self, statements: impl IntoIterator<Item = Statement>) -> Batch {
        let mut batch = Batch::default();
        statements.into_iter().for_each(|statement| batch.append_statement(statement.0));
        batch.set_execution_profile_handle(Some(self.profiles.of(Kind::Conditional).clone()));
        batch
    }

    /// Runs a [`conditional_batch`](Self::conditional_batch), once.
    pub async fn apply(
        &self,
        batch: &Batch,
        values: impl scylla::serialize::batch::BatchValues,
    ) -> Result<Conditional, CqlError> {
        let answer = self.ask(Box::pin(self.session.batch(batch, values))).await?;
        Conditional::read(&answer.into_rows_result().map_err(CqlError::unreadable)?)
    }

    /// Starts a batch of plain writes to one partition: they are one write there, and apply as a whole or not at all.
    pub fn write_batch(&self, statements: impl IntoIterator<Item = Statement>) -> Batch {
        let mut batch = Batch::new(BatchType::Unlogged);
        statements.into_iter().for_each(|statement| batch.append_statement(statement.0));
        batch.set_execution_profile_handle(Some(self.profiles.of(Kind::Write).clone()));
        batch.set_is_idempotent(true);
        batch
    }

    /// Runs a [`write_batch`](Self::write_batch).
    pub async fn write_all(
        &self,
        batch: &Batch,
        values: impl scylla::serialize::batch::BatchValues,
    ) -> Result<(), CqlError> {
        self.ask(Box::pin(self.session.batch(batch, values))).await?;
        Ok(())
    }

    /// Every statement that is run goes through here, boxed: the driver's futures are so large that the stack of a worker thread is too
    /// small for a few of them, one in the other.
    async fn ask<T>(&self, statement: impl Future<Output = Result<T, ExecutionError>>) -> Result<T, CqlError> {
        #[cfg(feature = "conformance")]
        let statement = self.faults.pass(statement);
        Ok(statement.await?)
    }

    /// What tests may do to this session.
    #[cfg(feature = "conformance")]
    pub fn faults(&self) -> &super::Faults {
        &self.faults
    }

    /// Runs a statement that changes tables, and waits until all nodes that are up have them.
    pub(super) async fn define(&self, statement: &str) -> Result<(), SchemaError> {
        self.session.query_unpaged(statement, ()).await.map_err(CqlError::from)?;
        self.agreement().await
    }

    /// Waits until all nodes that are up have the same tables.
    pub(super) async fn agreement(&self) -> Result<(), SchemaError> {
        let agreed = self.session.await_schema_agreement().await;
        agreed.map(drop).map_err(|why| SchemaError::NoAgreement(why.to_string()))
    }

    pub fn keyspace(&self) -> &str {
        &self.keyspace
    }

    /// The one that a quorum is counted in.
    pub fn datacenter(&self) -> &str {
        &self.datacenter
    }

    /// What the driver counts.
    pub fn metrics(&self) -> Arc<Metrics> {
        self.session.get_metrics()
    }
}

/// One execution profile for each kind.
#[derive(Debug)]
struct Profiles {
    plain: ExecutionProfileHandle,
    conditional: ExecutionProfileHandle,
    serial_read: ExecutionProfileHandle,
}

impl Profiles {
    fn new(request_timeout: Duration, datacenter: &str) -> Self {
        // The replica itself is asked, of this data center alone: a quorum is counted where the asked node is.
        let nodes: Arc<dyn LoadBalancingPolicy> =
            DefaultPolicy::builder().prefer_datacenter(datacenter.to_owned()).token_aware(true).build();
        let base = || {
            ExecutionProfile::builder()
                .load_balancing_policy(Arc::clone(&nodes))
                .request_timeout(Some(request_timeout))
                .consistency(Consistency::LocalQuorum)
                .serial_consistency(Some(SerialConsistency::Serial))
        };
        let second_node = SimpleSpeculativeExecutionPolicy { max_retry_count: 1, retry_interval: SECOND_NODE_AFTER };
        let once = || base().retry_policy(Arc::new(FallthroughRetryPolicy::new()));
        Profiles {
            plain: base()
                .retry_policy(Arc::new(DefaultRetryPolicy::new()))
                .speculative_execution_policy(Some(Arc::new(second_node)))
                .build()
                .into_handle_with_label("plain".to_owned()),
            conditional: once().build().into_handle_with_label("conditional".to_owned()),
            serial_read: once()
                .consistency(Consistency::Serial)
                .build()
                .into_handle_with_label("serial read".to_owned()),
        }
    }

    fn of(&self, kind: Kind) -> &ExecutionProfileHandle {
        match kind {
            Kind::Read | Kind::Write => &self.plain,
            Kind::Conditional => &self.conditional,
            Kind::SerialRead => &self.serial_read,
        }
    }
}
