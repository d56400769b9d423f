//! One question: attempts, each at another URL, one after the other or side by side, until one is answered or there is no more time.

use std::time::Duration;

use futures::{StreamExt, stream::FuturesUnordered};
use rand::RngExt;
use reqwest::{
    Client,
    header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue},
};
use serde::{Serialize, de::DeserializeOwned};
use tokio::{
    sync::Semaphore,
    time::{Instant, sleep, timeout_at},
};
use traces::{Kind, Span, Traceparent};

use super::{
    ClientError, ClientOptions, ServiceUrl, answer,
    answer::Answer,
    budget::RetryBudget,
    fault::{Failure, Fault},
    metrics::{self, GivenUp, Outcome},
    service_url::ServiceUrls,
};
use crate::{query::QueryError, secret::Secret};

/// Attempts of one question at most.
pub const ATTEMPTS_MAX: usize = 3;
/// Attempts under way at most, and so connections; one more waits for its turn, in its own time.
pub const CONNECTIONS_MAX: usize = 64;
/// The longest pause before a URL that has failed is tried again, without what it asks for itself.
pub const PAUSE_MAX: Duration = Duration::from_millis(100);
/// How long an unused connection is kept: less than any server does, so that a call does not meet one that is being closed.
const IDLE_CONNECTION: Duration = Duration::from_secs(4);

/// Asks questions.
pub(super) struct Caller {
    http: Client,
    urls: ServiceUrls,
    authorization: Option<HeaderValue>,
    budget: RetryBudget,
    connections: Semaphore,
    call_timeout: Duration,
    hedge_after: Duration,
}

/// What was asked already for a question.
struct Asked {
    first: usize,
    attempts: usize,
    deadline: Instant,
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
            call_timeout: options.call_timeout,
            hedge_after: options.hedge_after,
        })
    }

    /// Asks `question`; `accept` has the last word on an answer.
    pub(super) async fn call<T: DeserializeOwned, U>(
        &self,
        path: &str,
        question: &impl Serialize,
        accept: impl Fn(T) -> Option<U>,
    ) -> Result<U, QueryError> {
        let body = serde_json::to_vec(question).expect("questions have string keys and whole numbers");
        let mut asked = Asked { first: self.urls.first(), attempts: 1, deadline: Instant::now() + self.call_timeout };
        let mut under_way = FuturesUnordered::new();
        under_way.push(self.attempt(asked.first, Duration::ZERO, asked.deadline, path, &body));
        let hedge = sleep(self.hedge_after);
        tokio::pin!(hedge);
        let mut may_hedge = true;
        loop {
            let (url, failure) = tokio::select! {
                biased;
                Some((url, answer)) = under_way.next() => match answer.and_then(|answer| answer.open(&accept)) {
                    Ok(answer) => {
                        self.urls.answered(url);
                        self.answered(Outcome::Done);
                        return Ok(answer);
                    }
                    Err(failure) => (url, failure),
                },
                () = &mut hedge, if may_hedge => {
                    may_hedge = false;
                    if let Ok((url, pause)) = self.again(&mut asked, Duration::ZERO) {
                        // Slowness counts as failing: where all are slow, nobody is asked twice.
                        self.budget.failed();
                        metrics::hedged();
                        under_way.push(self.attempt(url, pause, asked.deadline, path, &body));
                    }
                    continue;
                }
            };
            let (fault, retry_after) = match failure {
                Failure::Passing(fault, retry_after) => (fault, retry_after),
                Failure::Final(fault) => {
                    self.answered(Outcome::Refused);
                    return Err(fault.at(self.urls.get(url)));
                }
            };
            self.failed(url, &fault);
            match self.again(&mut asked, retry_after) {
                Ok((url, pause)) => {
                    metrics::retried();
                    under_way.push(self.attempt(url, pause, asked.deadline, path, &body));
                }
                Err(reason) if under_way.is_empty() => {
                    metrics::given_up(reason);
                    return Err(fault.at(self.urls.get(url)));
                }
                // Another one may still answer, until the deadline, which is that of all of them.
                Err(_) => {}
            }
        }
    }

    fn answered(&self, outcome: Outcome) {
        metrics::attempted(outcome);
        self.budget.answered();
    }

    fn failed(&self, url: usize, fault: &Fault) {
        tracing::debug!(url = %self.urls.get(url), %fault, "an attempt to ask the analytics service failed");
        metrics::attempted(fault.outcome());
        self.budget.failed();
        self.urls.leave(url);
    }

    /// Where to ask once more, and how long to wait before, if that is to be. Who has not been asked yet is asked at once; who has gets
    /// the time it asks for, and "full jitter" (AWS Architecture Blog, "Exponential Backoff And Jitter", 2015).
    fn again(&self, asked: &mut Asked, retry_after: Duration) -> Result<(usize, Duration), GivenUp> {
        let time_left = asked.deadline.saturating_duration_since(Instant::now());
        if time_left.is_zero() {
            return Err(GivenUp::Time);
        }
        if asked.attempts == ATTEMPTS_MAX {
            return Err(GivenUp::Attempts);
        }
        if !self.budget.allows_a_retry() {
            return Err(GivenUp::Budget);
        }
        let jitter = || PAUSE_MAX.mul_f64(rand::rng().random_range(0.0..=1.0));
        let is_new = asked.attempts < self.urls.len();
        let pause = if is_new { Duration::ZERO } else { retry_after.saturating_add(jitter()) };
        if pause >= time_left {
            return Err(GivenUp::Time);
        }
        let url = self.urls.behind(asked.first, asked.attempts);
        asked.attempts += 1;
        Ok((url, pause))
    }

    /// Asks once, after a pause. If another attempt is answered first, this is dropped, and its span has not failed.
    async fn attempt(
        &self,
        url: usize,
        pause: Duration,
        deadline: Instant,
        path: &str,
        body: &[u8],
    ) -> (usize, Result<Answer, Failure>) {
        sleep(pause).await;
        // Outside of what the deadline cuts off.
        let span = traces::child(Kind::CLIENT, "ask the analytics service");
        let answer = timeout_at(deadline, self.exchange(self.urls.get(url), path, body, &span)).await;
        let answer = span.outcome(answer.unwrap_or(Err(Fault::TimedOut(self.call_timeout))));
        (url, answer.map_err(|fault| Failure::Passing(fault, Duration::ZERO)))
    }

    async fn exchange(&self, url: &ServiceUrl, path: &str, body: &[u8], span: &Span) -> Result<Answer, Fault> {
        let _connection = self.connections.acquire().await.expect("the semaphore is never closed");
        let _under_way = metrics::UnderWay::begins();
        let mut request = self.http.post(url.join(path)).header(CONTENT_TYPE, "application/json");
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        if let Some(traceparent) = span.traceparent() {
            request = request.header(Traceparent::HEADER, traceparent);
        }
        let answer = request.body(body.to_vec()).send().await.map_err(Fault::of_transport)?;
        span.got(answer.status().as_u16());
        answer::read(answer).await
    }
}

fn authorization(secret: &Secret) -> HeaderValue {
    let mut value = HeaderValue::from_str(&format!("Bearer {}", secret.expose())).expect("a secret is printable ASCII");
    value.set_sensitive(true);
    value
}

fn http_client(https: bool) -> Result<Client, ClientError> {
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
        self.urls.answered(url);
    }

    pub(super) fn use_up_budget(&self) {
        (0..super::budget::TOKENS_MAX).for_each(|_| self.budget.failed());
    }
}
