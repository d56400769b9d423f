//! What goes over the wire between an instance and the token service: JSON over HTTP, under a versioned path.
//!
//! Within a version, fields are only ever added, and an answer's unknown fields are skipped.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    Account, BLOCK_COUNT, Fingerprint, IdSpace, Lease, LeaseError, LeaseId, LeaseRecord, LeaseRequest, Owner, Usage,
};

/// `POST`: lease blocks. `GET`: the record.
pub const LEASES: &str = "/v1/leases";
/// `POST`: put off the end of a lease, with its usage.
pub const RENEW: &str = "/v1/leases/{lease_id}/renew";
/// `POST`: end a lease.
pub const RETURN: &str = "/v1/leases/{lease_id}/return";
/// `GET`: the id space, with its secret key.
pub const ID_SPACE: &str = "/v1/id-space";
/// `GET`: what became of every block.
pub const ACCOUNT: &str = "/v1/account";
/// `GET`: this API, in OpenAPI.
pub const OPENAPI: &str = "/v1/openapi.json";

/// The largest body of a call, in bytes.
pub const BODY_BYTES_MAX: usize = 4096;
/// The most rows in one answer of the record.
pub const RECORDS_MAX: u32 = 1000;

/// The path of [`RENEW`] for one lease.
pub fn renew_path(lease: LeaseId) -> String {
    format!("{LEASES}/{}/renew", lease.0)
}

/// The path of [`RETURN`] for one lease.
pub fn return_path(lease: LeaseId) -> String {
    format!("{LEASES}/{}/return", lease.0)
}

/// The body of a call for a lease.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "service", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct LeaseCall {
    /// Made by the caller. Repeating a call with the same id gives the same lease.
    pub request_id: Uuid,
    /// The process that asks: a UUID made at its start.
    pub owner: Owner,
    /// How many blocks are wanted, 1 to 256. There may be fewer.
    pub blocks: u32,
    /// The id space that the caller belongs to. Without it, the answer holds the id space's key; with another one than that of
    /// this service, nothing is leased.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<Fingerprint>,
}

impl LeaseCall {
    pub fn request(&self) -> LeaseRequest {
        LeaseRequest { request_id: self.request_id, owner: self.owner, blocks: self.blocks }
    }
}

/// A lease, and the id space it belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "service", derive(utoipa::ToSchema))]
pub struct LeaseAnswer {
    pub lease: Lease,
    pub id_space: IdSpaceAnswer,
}

/// An id space; its key only where it was asked for.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "service", derive(utoipa::ToSchema))]
pub struct IdSpaceAnswer {
    pub fingerprint: Fingerprint,
    /// The secret key: 64 hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

impl IdSpaceAnswer {
    pub fn with_key(id_space: &IdSpace) -> Self {
        Self { fingerprint: id_space.fingerprint(), key: Some(hex::encode(id_space.key())) }
    }

    pub fn without_key(id_space: &IdSpace) -> Self {
        Self { fingerprint: id_space.fingerprint(), key: None }
    }

    /// The id space, if the key is there and gives the fingerprint.
    pub fn id_space(&self) -> Option<IdSpace> {
        let mut key = [0; 32];
        hex::decode_to_slice(self.key.as_deref()?, &mut key).ok()?;
        let id_space = IdSpace::new(key);
        (id_space.fingerprint() == self.fingerprint).then_some(id_space)
    }
}

impl std::fmt::Debug for IdSpaceAnswer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "IdSpaceAnswer({})", self.fingerprint)
    }
}

/// The body of a renewal and of a return.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "service", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct UsageCall {
    pub owner: Owner,
    /// What became of the lease's blocks so far.
    #[serde(deserialize_with = "KnownUsage::deserialize")]
    pub usage: Usage,
}

/// [`Usage`] in a call: unlike in an answer, no field is skipped.
#[derive(Deserialize)]
#[serde(remote = "Usage", deny_unknown_fields)]
struct KnownUsage {
    used: u32,
    refused: u32,
}

/// A page of the record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "service", derive(utoipa::ToSchema))]
pub struct RecordsAnswer {
    /// Oldest first.
    pub leases: Vec<LeaseRecord>,
    /// What to set `after` to for the next page; null on the last one.
    pub next: Option<LeaseId>,
}

/// What became of every block, and how long the rest lasts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "service", derive(utoipa::ToSchema))]
pub struct AccountAnswer {
    #[serde(flatten)]
    pub account: Account,
    /// Whether the sums agree.
    pub balanced: bool,
    /// Blocks that can still be leased.
    pub left: u64,
    /// Blocks of the id space: 62^7 / 4096.
    pub total: u64,
    /// How many days the blocks left last at the last day's rate; null if nothing was leased during it.
    pub days_left: Option<u64>,
}

impl AccountAnswer {
    pub fn of(account: Account) -> Self {
        Self {
            balanced: account.is_balanced(),
            left: account.left(),
            total: u64::from(BLOCK_COUNT),
            days_left: account.days_left(),
            account,
        }
    }
}

/// The body of every answer that is not 2xx.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "service", derive(utoipa::ToSchema))]
pub struct ErrorAnswer {
    pub error: ErrorBody,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "service", derive(utoipa::ToSchema))]
pub struct ErrorBody {
    pub code: ErrorCode,
    /// What is wrong, in a sentence.
    pub message: String,
    /// With `wrong_id_space`: the id space of this service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<Fingerprint>,
    /// With `too_many_unused`: how many unused blocks the owner holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unused: Option<u64>,
    /// With `too_many_unused`: how many it may hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unused_max: Option<u64>,
}

impl ErrorBody {
    /// A code and a sentence, and nothing else.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), fingerprint: None, unused: None, unused_max: None }
    }

    /// What an instance is told of an error of the lease store; [`LeaseError`] comes out of it again at the other end.
    pub fn of(error: &LeaseError) -> Self {
        let code = error.code();
        let body = match error {
            // The rest of its sentence is said at the other end.
            LeaseError::Invalid(what) => Self::new(code, what),
            // Of the database, the log may tell; whoever calls may not.
            LeaseError::Unavailable(_) => Self::new(
                code,
                "the database does not answer; the call may or may not have been carried out: repeat it",
            ),
            other => Self::new(code, other.to_string()),
        };
        match error {
            LeaseError::TooManyUnused { unused, max, .. } => {
                Self { unused: Some(*unused), unused_max: Some(*max), ..body }
            }
            LeaseError::WrongIdSpace { theirs, .. } => Self { fingerprint: Some(*theirs), ..body },
            _ => body,
        }
    }
}

/// Why a call was not carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "service", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// 400, 408, 415: the call is not well-formed, or asks for what cannot be.
    BadRequest,
    /// 401: the secret is missing or wrong.
    Unauthorized,
    /// 404: there is nothing at this path.
    NotFound,
    /// 405: not by this method.
    MethodNotAllowed,
    /// 409: the lease has ended or belongs to another owner.
    NotHeld,
    /// 409: the caller belongs to another id space.
    WrongIdSpace,
    /// 413: the body is too large.
    TooLarge,
    /// 429: the owner holds too many unused blocks.
    TooManyUnused,
    /// 503: every block of the id space is leased.
    Exhausted,
    /// 503: too many calls wait.
    Overloaded,
    /// 503: the database does not answer. The call may or may not have been carried out.
    Unavailable,
}

impl ErrorCode {
    /// The code as it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            ErrorCode::BadRequest => "bad_request",
            ErrorCode::Unauthorized => "unauthorized",
            ErrorCode::NotFound => "not_found",
            ErrorCode::MethodNotAllowed => "method_not_allowed",
            ErrorCode::NotHeld => "not_held",
            ErrorCode::WrongIdSpace => "wrong_id_space",
            ErrorCode::TooLarge => "too_large",
            ErrorCode::TooManyUnused => "too_many_unused",
            ErrorCode::Exhausted => "exhausted",
            ErrorCode::Overloaded => "overloaded",
            ErrorCode::Unavailable => "unavailable",
        }
    }
}

impl LeaseError {
    /// The code that this goes over the wire as.
    pub fn code(&self) -> ErrorCode {
        match self {
            LeaseError::Invalid(_) => ErrorCode::BadRequest,
            LeaseError::Unauthorized => ErrorCode::Unauthorized,
            LeaseError::NotHeld(_) => ErrorCode::NotHeld,
            LeaseError::WrongIdSpace { .. } => ErrorCode::WrongIdSpace,
            LeaseError::TooManyUnused { .. } => ErrorCode::TooManyUnused,
            LeaseError::Exhausted => ErrorCode::Exhausted,
            LeaseError::Overloaded => ErrorCode::Overloaded,
            LeaseError::Unavailable(_) => ErrorCode::Unavailable,
        }
    }
}
