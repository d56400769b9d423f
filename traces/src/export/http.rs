//! The HTTP client that spans are sent by.

use std::time::Duration;

use async_trait::async_trait;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use reqwest::{Client, redirect::Policy};
use tokio::runtime::Handle;

use super::answer::{Answer, LastAnswer};
use crate::Endpoint;

/// The longest answer of a collector that is read, in bytes. It has next to nothing to say.
const ANSWER_BYTES_MAX: usize = 64 << 10;
/// How long an unused connection is kept: less than collectors do, so that a batch does not meet one that is being closed.
const IDLE_CONNECTION: Duration = Duration::from_secs(4);

#[derive(Debug)]
pub(super) struct Http {
    client: Client,
    /// Where calls run: the thread that sends spans has no reactor.
    runtime: Handle,
    /// Where it is said what became of a call.
    answer: LastAnswer,
}

#[derive(Debug, thiserror::Error)]
#[error("the collector's answer is longer than {ANSWER_BYTES_MAX} bytes")]
struct TooLong;

impl Http {
    /// A client that gives each call so much time, all told.
    pub fn new(endpoint: &Endpoint, timeout: Duration, runtime: Handle, answer: LastAnswer) -> reqwest::Result<Self> {
        // An error says that somebody has chosen a provider before, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let builder = Client::builder()
            .user_agent(concat!("septet/", env!("CARGO_PKG_VERSION")))
            .redirect(Policy::none())
            .retry(reqwest::retry::never())
            .timeout(timeout)
            .pool_idle_timeout(IDLE_CONNECTION)
            .no_proxy();
        // Without https there are no certificates to look for, which a small container may not have.
        let builder = if endpoint.is_https() { builder } else { builder.tls_certs_only([]) };
        Ok(Http { client: builder.build()?, runtime, answer })
    }

    async fn call(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let request = reqwest::Request::try_from(request)?;
        let client = self.client.clone();
        self.runtime.spawn(async move { answered(client.execute(request).await?).await }).await?
    }
}

#[async_trait]
impl HttpClient for Http {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let answered = self.call(request).await;
        self.answer.set(match &answered {
            Ok(response) => Answer::read(response),
            Err(error) => Answer::none(&**error),
        });
        answered
    }
}

async fn answered(mut answer: reqwest::Response) -> Result<Response<Bytes>, HttpError> {
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await? {
        if body.len() + chunk.len() > ANSWER_BYTES_MAX {
            return Err(TooLong.into());
        }
        body.extend_from_slice(&chunk);
    }
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() = answer.status();
    *response.headers_mut() = std::mem::take(answer.headers_mut());
    Ok(response)
}
