//! The API and the redirects, as a client program and a browser see them. No redirect is followed.

use std::{net::SocketAddr, time::Duration};

use reqwest::{
    Method,
    header::{HeaderMap, HeaderName, HeaderValue},
    redirect::Policy,
};
use serde::Deserialize;
use serde_json::Value;

use crate::browser;

/// How long any answer may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);

/// As much of a link as most tests look at.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Link {
    pub id: String,
    pub domain: String,
    pub key: String,
    pub url: String,
    pub short_link: String,
    pub external_id: Option<String>,
    pub archived: bool,
    pub clicks: u64,
    pub last_clicked: Option<String>,
}

/// An answer of the API.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
}

impl Answer {
    /// The body of a 200.
    ///
    /// # Panics
    /// When it is anything else.
    #[track_caller]
    pub fn ok(&self) -> Value {
        assert_eq!(self.status, 200, "{}", self.text);
        assert_eq!(self.header("content-type"), Some("application/json"));
        serde_json::from_str(&self.text).expect("the API answers JSON")
    }

    /// The link of a 200.
    ///
    /// # Panics
    /// When it is anything else.
    #[track_caller]
    pub fn link(&self) -> Link {
        serde_json::from_value(self.ok()).expect("a link")
    }

    /// The links of a 200, in order.
    ///
    /// # Panics
    /// When it is anything else.
    #[track_caller]
    pub fn links(&self) -> Vec<Link> {
        serde_json::from_value(self.ok()).expect("links")
    }

    /// The message of an error, after a look at its status, its code and its shape.
    ///
    /// # Panics
    /// When it is anything else.
    #[track_caller]
    pub fn error(&self, status: u16, code: &str) -> String {
        assert_eq!(self.status, status, "expected {code}: {}", self.text);
        let body: Value = serde_json::from_str(&self.text).expect("the API answers JSON");
        let error = &body["error"];
        assert_eq!(error["code"], code, "{body}");
        assert!(error["doc_url"].is_string(), "{body}");
        error["message"].as_str().filter(|message| !message.is_empty()).expect("an error says what is wrong").into()
    }

    /// A header, when there is one and it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// Talks to one `septet`.
#[derive(Debug, Clone)]
pub struct Client {
    origin: String,
    http: reqwest::Client,
    api_key: String,
}

impl Client {
    /// For the `septet` that listens at `addr`.
    pub fn new(addr: SocketAddr, api_key: &str) -> Self {
        // An error says that it was installed before. No TLS is spoken, but a client is not built without it.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .tls_certs_only([])
            .redirect(Policy::none())
            .timeout(ANSWER_TIMEOUT)
            .retry(reqwest::retry::never())
            .build()
            .expect("a client without TLS can always be built");
        Self { origin: format!("http://{addr}"), http, api_key: api_key.into() }
    }

    /// A request to `/api` + `path`, to be completed and [sent](send).
    pub fn api(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.http.request(method, format!("{}/api{path}", self.origin)).bearer_auth(&self.api_key)
    }

    /// A request to `path` that carries no API key.
    pub fn plain(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.http.request(method, format!("{}{path}", self.origin))
    }

    /// `GET /api/links...`, or whatever `path` says.
    pub async fn get(&self, path: &str, query: &[(&str, &str)]) -> Answer {
        send(self.api(Method::GET, path).query(query)).await
    }

    /// `POST /api/links`.
    pub async fn create(&self, body: &Value) -> Answer {
        send(self.api(Method::POST, "/links").json(body)).await
    }

    /// A new link to `url`.
    ///
    /// # Panics
    /// When it is not made.
    pub async fn link_to(&self, url: &str) -> Link {
        self.create(&serde_json::json!({ "url": url })).await.link()
    }

    /// `PATCH /api/links/{id}`.
    pub async fn change(&self, id: &str, body: &Value) -> Answer {
        send(self.api(Method::PATCH, &format!("/links/{id}")).json(body)).await
    }

    /// `DELETE /api/links/{id}`.
    pub async fn delete(&self, id: &str) -> Answer {
        send(self.api(Method::DELETE, &format!("/links/{id}"))).await
    }

    /// `GET /api/links/info` for a link's id.
    pub async fn by_id(&self, id: &str) -> Answer {
        self.get("/links/info", &[("linkId", id)]).await
    }

    /// `GET /api/links/count`: not counting archived links.
    ///
    /// # Panics
    /// When the answer is no number.
    pub async fn count(&self) -> u64 {
        self.get("/links/count", &[]).await.ok().as_u64().expect("a number")
    }

    /// Clicks of people, of all time: of one link, or of all of them.
    ///
    /// # Panics
    /// When the answer is no number.
    pub async fn clicks(&self, link_id: Option<&str>) -> u64 {
        let mut query = vec![("event", "clicks"), ("groupBy", "count"), ("interval", "all")];
        query.extend(link_id.map(|id| ("linkId", id)));
        self.get("/analytics", &query).await.ok()["clicks"].as_u64().expect("a number")
    }

    /// Opens `/{key}` as a browser does.
    ///
    /// # Panics
    /// When no answer comes.
    pub async fn open(&self, key: &str) -> Answer {
        self.try_open(key).await.expect("an answer")
    }

    /// Opens `/{key}` as a browser does.
    ///
    /// # Errors
    /// When no complete answer comes: whether the click counts is then unknown.
    pub async fn try_open(&self, key: &str) -> reqwest::Result<Answer> {
        try_send(self.plain(Method::GET, &format!("/{key}")).headers(browser_headers())).await
    }

    /// `HEAD /{key}`, as a browser would send it.
    ///
    /// # Panics
    /// When no answer comes.
    pub async fn peek(&self, key: &str) -> Answer {
        send(self.plain(Method::HEAD, &format!("/{key}")).headers(browser_headers())).await
    }
}

/// The whole answer.
///
/// # Panics
/// When none comes.
pub async fn send(request: reqwest::RequestBuilder) -> Answer {
    try_send(request).await.expect("an answer")
}

/// The whole answer.
///
/// # Errors
/// When none comes, or only a part of one.
pub async fn try_send(request: reqwest::RequestBuilder) -> reqwest::Result<Answer> {
    let response = request.send().await?;
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    Ok(Answer { status, headers, text: response.text().await? })
}

fn browser_headers() -> HeaderMap {
    browser::HEADERS
        .iter()
        .map(|(name, value)| (name.parse::<HeaderName>().expect("a header's name"), HeaderValue::from_static(value)))
        .collect()
}
