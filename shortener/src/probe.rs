//! `septet probe`: drives a Septet that runs as its users do, once.

use std::time::Duration;

use anyhow::{Context, bail};
use reqwest::{
    Client, Method, RequestBuilder, Response,
    header::{AUTHORIZATION, LOCATION},
};
use serde::Deserialize;
use serde_json::json;
use token_service::client::http_client;
use url::Url;
use uuid::Uuid;

use crate::settings::Settings;

/// How long each step may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The most of an unexpected answer that is shown, in characters.
const SHOWN_CHARS_MAX: usize = 300;

/// A link, as far as a probe needs it.
#[derive(Debug, Deserialize)]
struct Made {
    id: String,
    key: String,
}

/// Makes a link, opens it, and deletes it, whether it opened or not; says each step.
///
/// # Errors
/// When a step is not answered as it should be.
pub async fn probe(settings: &Settings, url: &Url) -> anyhow::Result<()> {
    let key = settings.api_key()?.context("a probe makes a link: --api-key-file or --api-key says with which key")?;
    let probe = Probe { client: http_client(url.scheme() == "https")?, url, key };
    let destination = format!("https://example.com/{}", Uuid::new_v4());
    let link = probe.make(&destination).await.context("no link can be made")?;
    let opened = probe.open(&link, &destination).await.context("a link that was made does not open");
    let deleted =
        probe.delete(&link).await.with_context(|| format!("the link {} that was made cannot be deleted", link.key));
    match (opened, deleted) {
        (Err(opened), Err(deleted)) => bail!("{opened:#}; and {deleted:#}"),
        (opened, deleted) => opened.and(deleted),
    }
}

struct Probe<'a> {
    client: Client,
    url: &'a Url,
    key: String,
}

impl Probe<'_> {
    async fn make(&self, destination: &str) -> anyhow::Result<Made> {
        let request = self.request(Method::POST, "api/links")?.json(&json!({ "url": destination }));
        let answer = request.header(AUTHORIZATION, self.authorization()).send().await?;
        let link: Made = succeeded(answer).await?.json().await?;
        println!("made {} for {destination}", link.key);
        Ok(link)
    }

    async fn open(&self, link: &Made, destination: &str) -> anyhow::Result<()> {
        let answer = self.request(Method::GET, &link.key)?.send().await?;
        let location = answer.headers().get(LOCATION).and_then(|location| location.to_str().ok());
        if !answer.status().is_redirection() || location != Some(destination) {
            bail!("the answer is {} to {}", answer.status(), location.unwrap_or("nowhere"));
        }
        println!("opened it: {}", answer.status());
        Ok(())
    }

    async fn delete(&self, link: &Made) -> anyhow::Result<()> {
        let request = self.request(Method::DELETE, &format!("api/links/{}", link.id))?;
        succeeded(request.header(AUTHORIZATION, self.authorization()).send().await?).await?;
        println!("deleted it");
        Ok(())
    }

    fn request(&self, method: Method, path: &str) -> anyhow::Result<RequestBuilder> {
        let mut url = self.url.clone();
        let Ok(mut segments) = url.path_segments_mut() else { bail!("{} is no URL of a server", self.url) };
        segments.pop_if_empty().extend(path.split('/'));
        drop(segments);
        Ok(self.client.request(method, url).timeout(TIMEOUT))
    }

    fn authorization(&self) -> String {
        format!("Bearer {}", self.key)
    }
}

async fn succeeded(answer: Response) -> anyhow::Result<Response> {
    let status = answer.status();
    if !status.is_success() {
        let said: String = answer.text().await.unwrap_or_default().chars().take(SHOWN_CHARS_MAX).collect();
        bail!("the answer is {status}: {said}");
    }
    Ok(answer)
}
