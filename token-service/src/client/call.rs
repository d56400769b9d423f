//! One call: attempts one after the other, each at another URL, with pauses in between, until one is answered, or they have
//! taken long enough.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use rand::RngExt;
use reqwest::{
    Client, Method,
    header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue},
};
use serde::{Serialize, de::DeserializeOwned};
use tokio::{
    sync::Semaphore,
    time::{Instant, sleep, timeout},
};
use traces::{Kind, Span, Traceparent};

use super::{
    ClientError, ClientOptions, ServiceUrl, answer,
    budget::RetryBudget,
    fault::{Failure, Fault, Refusal},
    metrics::{self, GivenUp, Outcome},
    service_url::ServiceUrls,
};
use crate::{Fingerprint, LeaseError, LeaseId, Owner, secret::Secret};

/// Attempts of one call at most.
pub const ATTEMPTS_MAX: usize = 4;
/// Attempts under way at most, and so connections; one more waits for its turn, in its own time. An instance has one or two.
pub const CONNECTIONS_MAX: usize = 16;
/// How long an unused connection is kept: less than any server does, so that a call does not meet one that is being closed.
const IDLE_CONNECTION: Duration = Duration::from_secs(4);

/// What is asked of the token service. Every attempt sends the same bytes.
pub(super) struct Call {
    method: Method,
    path: String,
    query: Vec<(&'static str, String)>,
    body: Option<Vec<u8>>,
    /// Whose call it is, and about which lease: what a refusal is about.
    pub owner: Option<Owner>,
    pub lease: Option<LeaseId>,
}

impl Call {
    pub(super) fn get(path: &str) -> Self {
        Self { method: Method::GET, path: path.to_owned(), query: Vec::new(), body: None, owner: None, lease: None }
    }

    pub(super) fn post(path: impl Into<String>, body: &impl Serialize, owner: Owner) -> Self {
        let body = serde_json::to_vec(body).expect("the bodies of calls have string keys and finite numbers");
        Self {
            method: Method::POST,
            path: path.into(),
            query: Vec::new(),
            body: Some(body),
            owner: Some(owner),
            lease: None,
        }
    }

    pub(super) fn of_lease(self, lease: LeaseId) -> Self {
        Self { lease: Some(lease), ..self }
    }

    /// With a parameter, if it has a value.
    pub(super) fn with(mut self, name: &'static str, value: Option<String>) -> Self {
        self.query.extend(value.map(|value| (name, value)));
        self
    }
}

/// Carries calls out.
pub(super) struct Caller {
    http: Client,
    urls: ServiceUrls,
    authorization: Option<HeaderValue>,
    budget: RetryBudget,
    connections: Semaphore,
    attempt_timeout: Duration,
    call_timeout: Duration,
    pauses: ExponentialBuilder,
}

impl Caller {
    pub(super) fn new(options: ClientOptions) -> Result<Self, ClientError> {
        let http = http_client(options.urls.iter().any(ServiceUrl::is_https))?;
        Ok(Self {
            http,
            urls: ServiceUrls::new(options.urls).ok_or(ClientError::NoUrl)?,
            authorization: options.secret.as_ref().map(authorization),
            budget: RetryBudget::full(),
            connections: Semaphore::new(CONNECTIONS_MAX),
            attempt_timeout: options.attempt_timeout,
            call_timeout: options.call_timeout,
            pauses: ExponentialBuilder::new()
                .with_min_delay(options.pause_min)
                .without_max_delay()
                .with_max_times(ATTEMPTS_MAX - 1),
        })
    }

    /// Carries out `call`; `ours` is the id space of the caller, `accept` has the last word on an answer.
    pub(super) async fn call<T: DeserializeOwned, U>(
        &self,
        call: &Call,
        ours: Option<Fingerprint>,
        accept: impl Fn(T) -> Result<U, Refusal>,
    ) -> Result<U, LeaseError> {
        let deadline = Instant::now() + self.call_timeout;
        let mut pauses = self.pauses.build();
        let mut url = self.urls.first();
        loop {
            let (error, retry_after) = match self.attempt(self.urls.get(url), call, deadline, ours, &accept).await {
                Ok(answer) => {
                    self.answered(Outcome::Done);
                    return Ok(answer);
                }
                Err(Failure::Final(error)) => {
                    if concerns_the_service(&error) {
                        self.urls.next_after(url);
                    }
                    self.answered(Outcome::Refused);
                    return Err(error);
                }
                Err(Failure::Passing { error, outcome, retry_after }) => {
                    metrics::attempted(outcome);
                    self.budget.failed();
                    (error, retry_after)
                }
            };
            tracing::debug!(path = call.path, %error, "an attempt to call the token service failed");
            url = self.urls.next_after(url);
            match self.pause(&mut pauses, retry_after, deadline) {
                Ok(pause) => sleep(pause).await,
                Err(reason) => {
                    metrics::given_up(reason);
                    return Err(error);
                }
            }
            metrics::retried();
        }
    }

    fn answered(&self, outcome: Outcome) {
        metrics::attempted(outcome);
        self.budget.answered();
    }

    /// How long to wait before the next attempt, if there is to be one. Pauses have "full jitter" (AWS Architecture Blog,
    /// "Exponential Backoff And Jitter", 2015): anything up to what doubles with each failure.
    fn pause(
        &self,
        pauses: &mut ExponentialBackoff,
        retry_after: Option<Duration>,
        deadline: Instant,
    ) -> Result<Duration, GivenUp> {
        let full = pauses.next().ok_or(GivenUp::Attempts)?;
        if !self.budget.allows_a_retry() {
            return Err(GivenUp::Budget);
        }
        let pause = retry_after.unwrap_or_default().saturating_add(full.mul_f64(rand::rng().random_range(0.0..=1.0)));
        if pause >= deadline.saturating_duration_since(Instant::now()) {
            return Err(GivenUp::Time);
        }
        Ok(pause)
    }

    async fn attempt<T: DeserializeOwned, U>(
        &self,
        url: &ServiceUrl,
        call: &Call,
        deadline: Instant,
        ours: Option<Fingerprint>,
        accept: &impl Fn(T) -> Result<U, Refusal>,
    ) -> Result<U, Failure> {
        let limit = self.attempt_timeout.min(deadline.saturating_duration_since(Instant::now()));
        // Outside of what the limit cuts off.
        let span = traces::child(Kind::CLIENT, "call the token service");
        let answer = timeout(limit, self.exchange(url, call, &span)).await;
        match span.outcome(answer.unwrap_or(Err(Fault::TimedOut(limit)))) {
            Ok(answer) => answer.open(url, call, ours, accept),
            Err(fault) => Err(Failure::Passing { outcome: fault.outcome(), error: fault.at(url), retry_after: None }),
        }
    }

    async fn exchange(&self, url: &ServiceUrl, call: &Call, span: &Span) -> Result<answer::Answer, Fault> {
        let _connection = self.connections.acquire().await.expect("the semaphore is never closed");
        let mut request = self.http.request(call.method.clone(), url.join(&call.path, &call.query));
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        if let Some(body) = &call.body {
            request = request.header(CONTENT_TYPE, "application/json").body(body.clone());
        }
        if let Some(traceparent) = span.traceparent() {
            request = request.header(Traceparent::HEADER, traceparent);
        }
        let answer = request.send().await.map_err(Fault::of_transport)?;
        span.got(answer.status().as_u16());
        answer::read(answer).await
    }
}

/// Whether another URL may be the right one.
fn concerns_the_service(error: &LeaseError) -> bool {
    matches!(error, LeaseError::WrongIdSpace { .. } | LeaseError::Unauthorized)
}

fn authorization(secret: &Secret) -> HeaderValue {
    let mut value = HeaderValue::from_str(&format!("Bearer {}", secret.expose())).expect("a secret is printable ASCII");
    value.set_sensitive(true);
    value
}

/// The HTTP client of calls: it takes every answer as it is, follows no redirect, and asks nothing twice.
///
/// # Errors
/// When the certificates that `https` needs are not there.
pub fn http_client(https: bool) -> Result<Client, ClientError> {
    // An error says that somebody has chosen a provider before, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = Client::builder()
        .user_agent(concat!("septet/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .no_proxy()
        .http1_only()
        .pool_idle_timeout(IDLE_CONNECTION)
        .pool_max_idle_per_host(CONNECTIONS_MAX);
    // Without https there are no certificates to look for, which a small container may not have.
    let builder = if https { builder } else { builder.tls_certs_only([]) };
    builder.build().map_err(ClientError::Tls)
}

#[cfg(test)]
impl Caller {
    pub(super) fn prefer(&self, url: usize) {
        self.urls.prefer(url);
    }

    pub(super) fn use_up_budget(&self) {
        (0..super::budget::TOKENS_MAX).for_each(|_| self.budget.failed());
    }

    pub(super) fn fill_budget(&self) {
        (0..super::budget::TOKENS_MAX).for_each(|_| self.budget.answered());
    }
}
