//! The client of the token service: the contract over HTTP.
//!
//! A call is attempted several times ([`call`]), at one or several URLs ([`service_url`]), within a budget ([`budget`]). It
//! ends in [`CALL_TIMEOUT`] at the latest, whatever the service does, and holds nothing when it is dropped. That a call is
//! repeated is safe, since all of them are idempotent.
//!
//! The secret goes into one header, and nowhere else.

mod answer;
mod budget;
mod call;
mod fault;
pub mod metrics;
mod service_url;
#[cfg(test)]
mod tests;

use std::{sync::OnceLock, time::Duration};

use async_trait::async_trait;
use serde::de::IgnoredAny;

use crate::{
    Account, BLOCK_COUNT, Fingerprint, IdSpace, Lease, LeaseError, LeaseId, LeaseRecord, LeaseRecords, LeaseRequest,
    LeaseState, Leases, Owner, RecordFilter, Usage,
    secret::Secret,
    wire::{self, AccountAnswer, IdSpaceAnswer, LeaseAnswer, LeaseCall, RecordsAnswer, UsageCall},
};
pub use answer::ANSWER_BYTES_MAX;
pub use call::{ATTEMPTS_MAX, CONNECTIONS_MAX, http_client};
use call::{Call, Caller};
use fault::Refusal;
pub use fault::{CallError, Fault};
pub use service_url::{ServiceUrl, ServiceUrlError};

/// How long one attempt may take, unless the options say otherwise.
pub const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a whole call may take, unless the options say otherwise: all of its attempts, and the pauses between them.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(9);
/// The longest first pause, unless the options say otherwise; the second is twice as long, and so on.
pub const PAUSE_MIN: Duration = Duration::from_millis(100);

/// How a token service is called.
#[derive(Debug, Clone)]
pub struct ClientOptions {
    /// At least one.
    pub urls: Vec<ServiceUrl>,
    /// What the service knows its instances by.
    pub secret: Option<Secret>,
    /// The id space that the caller's links belong to; the first answer's, if it is not known yet.
    pub fingerprint: Option<Fingerprint>,
    pub attempt_timeout: Duration,
    pub call_timeout: Duration,
    pub pause_min: Duration,
}

impl ClientOptions {
    /// The usual limits.
    pub fn new(urls: Vec<ServiceUrl>) -> Self {
        Self {
            urls,
            secret: None,
            fingerprint: None,
            attempt_timeout: ATTEMPT_TIMEOUT,
            call_timeout: CALL_TIMEOUT,
            pause_min: PAUSE_MIN,
        }
    }
}

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("no URL of a token service is given")]
    NoUrl,
    #[error("https cannot be used: {0} (certificates are looked for where the system keeps them, or in SSL_CERT_FILE)")]
    Tls(#[source] reqwest::Error),
}

/// The leases of a token service.
pub struct HttpLeases {
    caller: Caller,
    fingerprint: OnceLock<Fingerprint>,
}

impl HttpLeases {
    /// Asks nothing yet: the service may be away.
    pub fn new(options: ClientOptions) -> Result<Self, ClientError> {
        metrics::describe();
        let fingerprint = options.fingerprint.map_or_else(OnceLock::new, OnceLock::from);
        Ok(Self { caller: Caller::new(options)?, fingerprint })
    }

    fn ours(&self) -> Option<Fingerprint> {
        self.fingerprint.get().copied()
    }

    /// Whether an answer belongs to the caller's id space; the first one decides, if the caller has none yet.
    fn check(&self, theirs: Fingerprint) -> Result<(), Refusal> {
        let ours = *self.fingerprint.get_or_init(|| theirs);
        if ours == theirs { Ok(()) } else { Err(Refusal::Error(LeaseError::WrongIdSpace { ours, theirs })) }
    }

    fn accept_id_space(&self, answer: &IdSpaceAnswer) -> Result<IdSpace, Refusal> {
        if self.ours().is_some() {
            self.check(answer.fingerprint)?;
        }
        // Before it is remembered: a broken key must not become the caller's id space.
        let id_space = answer.id_space();
        let id_space = id_space.ok_or_else(|| Refusal::nonsense("a key that does not give its fingerprint"))?;
        self.check(id_space.fingerprint())?;
        Ok(id_space)
    }

    fn accept_lease(&self, answer: LeaseAnswer, request: &LeaseRequest) -> Result<Lease, Refusal> {
        if self.ours().is_some() {
            self.check(answer.id_space.fingerprint)?;
        } else {
            self.accept_id_space(&answer.id_space)?;
        }
        let lease = answer.lease;
        let end = lease.first.0.checked_add(lease.blocks);
        let within_id_space = end.is_some_and(|end| end <= BLOCK_COUNT);
        if (1..=request.blocks).contains(&lease.blocks) && within_id_space {
            Ok(lease)
        } else {
            let Lease { first, blocks, .. } = lease;
            Err(Refusal::nonsense(format!(
                "{blocks} blocks from {} on, where {} were asked for",
                first.0, request.blocks
            )))
        }
    }

    async fn report(&self, path: String, lease: LeaseId, owner: Owner, usage: Usage) -> Result<(), LeaseError> {
        let call = Call::post(path, &UsageCall { owner, usage }, owner).of_lease(lease);
        self.caller.call(&call, self.ours(), |_: IgnoredAny| Ok(())).await
    }
}

#[async_trait]
impl Leases for HttpLeases {
    async fn id_space(&self) -> Result<IdSpace, LeaseError> {
        let call = Call::get(wire::ID_SPACE);
        self.caller.call(&call, self.ours(), |answer: IdSpaceAnswer| self.accept_id_space(&answer)).await
    }

    async fn lease(&self, request: &LeaseRequest) -> Result<Lease, LeaseError> {
        let LeaseRequest { request_id, owner, blocks } = *request;
        let ours = self.ours();
        let call = Call::post(wire::LEASES, &LeaseCall { request_id, owner, blocks, fingerprint: ours }, owner);
        self.caller.call(&call, ours, |answer| self.accept_lease(answer, request)).await
    }

    async fn renew(&self, lease: LeaseId, owner: Owner, usage: Usage) -> Result<(), LeaseError> {
        self.report(wire::renew_path(lease), lease, owner, usage).await
    }

    async fn give_back(&self, lease: LeaseId, owner: Owner, usage: Usage) -> Result<(), LeaseError> {
        self.report(wire::return_path(lease), lease, owner, usage).await
    }
}

#[async_trait]
impl LeaseRecords for HttpLeases {
    async fn records(
        &self,
        filter: RecordFilter,
        after: Option<LeaseId>,
        limit: u32,
    ) -> Result<Vec<LeaseRecord>, LeaseError> {
        if limit == 0 {
            return Ok(Vec::new());
        }
        let call = Call::get(wire::LEASES)
            .with("state", filter.state.map(|state| state_name(state).to_owned()))
            .with("owner", filter.owner.map(|owner| owner.0.to_string()))
            .with("after", after.map(|after| after.0.to_string()))
            .with("limit", Some(limit.min(wire::RECORDS_MAX).to_string()));
        self.caller.call(&call, self.ours(), |answer: RecordsAnswer| Ok(answer.leases)).await
    }

    async fn account(&self) -> Result<Account, LeaseError> {
        let call = Call::get(wire::ACCOUNT);
        self.caller.call(&call, self.ours(), |answer: AccountAnswer| Ok(answer.account)).await
    }
}

/// A state as the wire has it.
fn state_name(state: LeaseState) -> &'static str {
    match state {
        LeaseState::Open => "open",
        LeaseState::Returned => "returned",
        LeaseState::Expired => "expired",
    }
}
