//! The HTTP client that spans are sent by.

use async_trait::async_trait;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use reqwest::{Client, redirect::Policy};
use tokio::runtime::Handle;

use super::EXPORT_TIMEOUT;
use crate::Endpoint;

/// The longest answer of a collector that is read, in bytes. It has next to nothing to say.
const ANSWER_BYTES_MAX: usize = 64 << 10;

#[derive(Debug)]
pub(super) struct Http {
    client: Client,
    /// Where calls run: the thread that sends spans has no reactor.
    runtime: Handle,
}

#[derive(Debug, thiserror::Error)]
#[error("the collector's answer is longer than {ANSWER_BYTES_MAX} bytes")]
struct TooLong;

impl Http {
    pub fn new(endpoint: &Endpoint, runtime: Handle) -> reqwest::Result<Self> {
        // An error says that somebody has chosen a provider before, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let builder = Client::builder()
            .user_agent(concat!("septet/", env!("CARGO_PKG_VERSION")))
            .redirect(Policy::none())
            .retry(reqwest::retry::never())
            .timeout(EXPORT_TIMEOUT)
            .no_proxy();
        // Without https there are no certificates to look for, which a small container may not have.
        let builder = if endpoint.is_https() { builder } else { builder.tls_certs_only([]) };
        Ok(Http { client: builder.build()?, runtime })
    }
}

#[async_trait]
impl HttpClient for Http {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let request = reqwest::Request::try_from(request)?;
        let client = self.client.clone();
        self.runtime.spawn(async move { answered(client.execute(request).await?).await }).await?
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
