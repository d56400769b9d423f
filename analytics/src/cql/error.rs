//! Why a cluster did not do what it was asked, and why a keyspace cannot be used as it is.
//!
//! Each is one sentence that is whole: an error's cause is in its text, and not its source as well, so that whoever prints a chain does
//! not say it twice. None holds a password.

use std::io;

use scylla::errors::{
    ConnectionError, ConnectionPoolError, ConnectionSetupRequestErrorKind, DbError, ExecutionError, MetadataError,
    NewSessionError, PrepareError, RequestAttemptError, UseKeyspaceError,
};

use super::CqlUrl;

/// What went wrong. Of [`CqlError::Unanswered`] nobody knows whether a write has happened.
#[derive(Debug, thiserror::Error)]
pub enum CqlError {
    /// It may answer later.
    #[error("no node of {url} answers: {why}")]
    Unreachable { url: String, why: String },
    /// It answers, and will not have us, until somebody changes the settings or the rights.
    #[error("{url} refuses: {why}")]
    Refused { url: String, why: String },
    #[error("{0}")]
    Setting(String),
    #[error("{url} has no such keyspace: run `migrate` with the same settings first")]
    NoKeyspace { url: String },
    #[error("the statement {statement:?} cannot be prepared: {why}")]
    Prepare {
        statement: String,
        why: String,
        /// The same again may go well later.
        is_transient: bool,
    },
    #[error("{0}")]
    Unanswered(Unanswered),
    #[error("an answer cannot be read: {0}")]
    Unreadable(String),
}

/// A statement that failed on its way, or there, or on its way back.
#[derive(Debug)]
pub struct Unanswered(Box<ExecutionError>);

impl std::fmt::Display for Unanswered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl From<ExecutionError> for CqlError {
    fn from(error: ExecutionError) -> Self {
        CqlError::Unanswered(Unanswered(error.into()))
    }
}

impl CqlError {
    pub(super) fn unreadable(what: impl std::fmt::Display) -> Self {
        CqlError::Unreadable(what.to_string())
    }

    /// Why there is no session.
    pub(super) fn connecting(url: &CqlUrl, cause: &NewSessionError) -> Self {
        let (url, why) = (url.to_string(), cause.to_string());
        if is_refusal(cause) { CqlError::Refused { url, why } } else { CqlError::Unreachable { url, why } }
    }

    pub(super) fn preparing(statement: &str, cause: &PrepareError) -> Self {
        let is_transient = match cause {
            PrepareError::AllAttemptsFailed { first_attempt } => !attempt_is_refused(first_attempt),
            _ => true,
        };
        CqlError::Prepare { statement: statement.to_owned(), why: cause.to_string(), is_transient }
    }

    /// Whether the same may turn out well later, without anybody's doing.
    pub fn is_transient(&self) -> bool {
        match self {
            CqlError::Unreachable { .. } => true,
            CqlError::Prepare { is_transient, .. } => *is_transient,
            CqlError::Unanswered(Unanswered(cause)) => match cause.as_ref() {
                ExecutionError::LastAttemptError(cause) => !attempt_is_refused(cause),
                ExecutionError::BadQuery(_) | ExecutionError::EmptyPlan => false,
                _ => true,
            },
            CqlError::Refused { .. } | CqlError::Setting(_) | CqlError::NoKeyspace { .. } | CqlError::Unreadable(_) => {
                false
            }
        }
    }
}

/// Why a keyspace cannot be used as it is.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    #[error(
        "the keyspace {keyspace} has no tables for {part}, or old ones: run `migrate` with the same settings first"
    )]
    NotMigrated { keyspace: String, part: &'static str },
    #[error(
        "the keyspace {keyspace} was migrated by a newer version ({part} {version}): start that one, or a later one"
    )]
    Newer { keyspace: String, part: &'static str, version: i32 },
    #[error(
        "{replication_factor} copies of everything need as many nodes, and the data center {datacenter} has {nodes}: \
         add nodes, or say --replication-factor {nodes}"
    )]
    TooFewNodes { replication_factor: u32, datacenter: String, nodes: u32 },
    #[error("--replication-factor must be at least 1")]
    NoCopies,
    #[error(
        "another migration of {keyspace} has been under way for {waited_s} seconds: run this one again when it is over"
    )]
    Busy { keyspace: String, waited_s: u64 },
    /// This one was stopped for so long that it was taken for dead.
    #[error("another migration of {keyspace} has begun while this one was stuck: run this one again when it is over")]
    LockLost { keyspace: String },
    #[error("the nodes do not agree on the tables: {0}; are all of them up?")]
    NoAgreement(String),
    #[error(transparent)]
    Cql(#[from] CqlError),
}

impl SchemaError {
    /// Whether the same may turn out well later, without anybody's doing.
    pub fn is_transient(&self) -> bool {
        match self {
            SchemaError::Cql(error) => error.is_transient(),
            SchemaError::Busy { .. } | SchemaError::LockLost { .. } | SchemaError::NoAgreement(_) => true,
            SchemaError::NotMigrated { .. }
            | SchemaError::Newer { .. }
            | SchemaError::TooFewNodes { .. }
            | SchemaError::NoCopies => false,
        }
    }
}

/// Whether a node answers and will not have us: by its word, or by a certificate that is not believed.
fn is_refusal(cause: &NewSessionError) -> bool {
    match cause {
        NewSessionError::MetadataError(MetadataError::ConnectionPoolError(ConnectionPoolError::Broken {
            last_connection_error,
        })) => connection_is_refused(last_connection_error),
        NewSessionError::UseKeyspaceError(UseKeyspaceError::RequestError(cause)) => attempt_is_refused(cause),
        NewSessionError::IllegalConfig(_) | NewSessionError::EmptyKnownNodesList => true,
        _ => false,
    }
}

fn connection_is_refused(cause: &ConnectionError) -> bool {
    match cause {
        // What rustls says of a certificate, or of an answer that is not TLS.
        ConnectionError::IoError(error) => error.kind() == io::ErrorKind::InvalidData,
        ConnectionError::ConnectionSetupRequestError(error) => match error.get_error() {
            ConnectionSetupRequestErrorKind::DbError(cause, _) => is_the_last_word(cause),
            ConnectionSetupRequestErrorKind::MissingAuthentication => true,
            _ => false,
        },
        _ => false,
    }
}

fn attempt_is_refused(cause: &RequestAttemptError) -> bool {
    matches!(cause, RequestAttemptError::DbError(cause, _) if is_the_last_word(cause))
}

/// Whether a node will say the same the next time.
fn is_the_last_word(cause: &DbError) -> bool {
    matches!(
        cause,
        DbError::AuthenticationError
            | DbError::Unauthorized
            | DbError::Invalid
            | DbError::SyntaxError
            | DbError::ConfigError
            | DbError::AlreadyExists { .. }
    )
}
