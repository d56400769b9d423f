//! The client of the analytics service: the contract over HTTP.
//!
//! A question is asked at one URL; at another one once that has failed, and as well while it is slow ([`call`]), as far as a budget allows
//! ([`budget`]). That is safe, since nothing is ever changed by a question. It ends in [`CALL_TIMEOUT`] at the latest, whatever the services do, and
//! holds nothing when it is dropped.
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

use std::time::Duration;

use async_trait::async_trait;
use futures::future::try_join_all;

use crate::{
    query::{Answer, Group, Links, Queries, Query, QueryError, Totals},
    secret::Secret,
    wire::{self, FirstClickAnswer, FirstClickCall, TOTALS_LINKS_MAX, TotalsAnswer, TotalsCall},
};
pub use answer::ANSWER_BYTES_MAX;
use call::Caller;
pub use call::{ATTEMPTS_MAX, CONNECTIONS_MAX, PAUSE_MAX};
pub use fault::{CallError, Fault};
pub use service_url::{ServiceUrl, ServiceUrlError};

/// How long a question may take, unless the options say otherwise: all of its attempts, and the pauses between them. More than a service
/// takes to give it up itself.
pub const CALL_TIMEOUT: Duration = Duration::from_millis(2_500);
/// How long one service may think before another one is asked as well, unless the options say otherwise: a hundred times what a question
/// usually takes.
pub const HEDGE_AFTER: Duration = Duration::from_secs(1);

/// How an analytics service is asked.
#[derive(Debug, Clone)]
pub struct ClientOptions {
    /// At least one.
    pub urls: Vec<ServiceUrl>,
    /// What the service knows its askers by.
    pub secret: Option<Secret>,
    pub call_timeout: Duration,
    pub hedge_after: Duration,
}

impl ClientOptions {
    /// The usual limits.
    pub fn new(urls: Vec<ServiceUrl>) -> Self {
        Self { urls, secret: None, call_timeout: CALL_TIMEOUT, hedge_after: HEDGE_AFTER }
    }
}

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("no URL of an analytics service is given")]
    NoUrl,
    #[error("https cannot be used: {0} (certificates are looked for where the system keeps them, or in SSL_CERT_FILE)")]
    Tls(#[source] reqwest::Error),
}

/// The answers of an analytics service.
pub struct HttpQueries {
    caller: Caller,
}

impl HttpQueries {
    /// Asks nothing yet: the service may be away.
    pub fn new(options: ClientOptions) -> Result<Self, ClientError> {
        metrics::describe();
        Ok(Self { caller: Caller::new(options)? })
    }

    /// The totals of no more links than go into one call.
    async fn some_totals(&self, links: &[u64]) -> Result<Vec<Totals>, QueryError> {
        let call = TotalsCall { links: links.to_vec() };
        let accept = |answer: TotalsAnswer| (answer.totals.len() == links.len()).then_some(answer.totals);
        self.caller.call(wire::TOTALS, &call, accept).await
    }
}

#[async_trait]
impl Queries for HttpQueries {
    async fn answer(&self, query: &Query) -> Result<Answer, QueryError> {
        let accept = |answer| fits(&query.group, &answer).then_some(answer);
        self.caller.call(wire::QUERY, query, accept).await
    }

    async fn totals(&self, links: &[u64]) -> Result<Vec<Totals>, QueryError> {
        let parts = links.chunks(TOTALS_LINKS_MAX).map(|links| self.some_totals(links));
        Ok(try_join_all(parts).await?.concat())
    }

    async fn first_click_ms(&self, links: &Links) -> Result<Option<i64>, QueryError> {
        let call = FirstClickCall { links: links.clone() };
        self.caller.call(wire::FIRST_CLICK, &call, |answer: FirstClickAnswer| Some(answer.first_click_ms)).await
    }
}

/// Whether an answer is one to such a question.
fn fits(group: &Group, answer: &Answer) -> bool {
    match (group, answer) {
        (Group::Count, Answer::Count(_)) => true,
        (Group::Series(spans), Answer::Series(counted)) => spans.len() == counted.len(),
        (Group::Values { limit, .. }, Answer::Values(values)) => values.len() <= *limit as usize,
        _ => false,
    }
}
