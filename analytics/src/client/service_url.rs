//! Where the analytics service is: base URLs, and which of them to try first.

use std::{
    fmt,
    str::FromStr,
    sync::atomic::{AtomicUsize, Ordering},
};

use rand::RngExt;
use url::Url;

/// The base URL of an analytics service: `http` or `https`, a host, and perhaps a port and a path prefix.
#[derive(Clone, PartialEq, Eq)]
pub struct ServiceUrl(Url);

/// Why something is no base URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ServiceUrlError {
    #[error("is no URL of an analytics service ({0}): http://HOST:PORT or https://HOST:PORT")]
    Url(url::ParseError),
    #[error("begins with \"{0}:\"; an analytics service is reached by http:// or https://")]
    Scheme(String),
    #[error("holds a user or a password; the secret is a setting of its own")]
    UserInfo,
    #[error("holds a query or a fragment; an analytics service is named by scheme, host, port and path alone")]
    Query,
}

impl ServiceUrl {
    /// Reads a base URL as people write it.
    pub fn parse(text: &str) -> Result<Self, ServiceUrlError> {
        let url = Url::parse(text).map_err(ServiceUrlError::Url)?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(ServiceUrlError::Scheme(url.scheme().to_owned()));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(ServiceUrlError::UserInfo);
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(ServiceUrlError::Query);
        }
        Ok(Self(url))
    }

    pub fn is_https(&self) -> bool {
        self.0.scheme() == "https"
    }

    /// This service's URL of a path of [`wire`](crate::wire).
    pub(super) fn join(&self, path: &str) -> Url {
        let mut url = self.0.clone();
        url.set_path(&format!("{}{path}", self.0.path().trim_end_matches('/')));
        url
    }
}

impl FromStr for ServiceUrl {
    type Err = ServiceUrlError;

    fn from_str(text: &str) -> Result<Self, ServiceUrlError> {
        Self::parse(text)
    }
}

impl fmt::Display for ServiceUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str())
    }
}

impl fmt::Debug for ServiceUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Base URLs of one analytics service: of its replicas, or of what stands before them.
pub(super) struct ServiceUrls {
    urls: Vec<ServiceUrl>,
    /// The one to try first: at the start any of them, then the one that answered last, as each failure moves on to the next.
    first: AtomicUsize,
}

impl ServiceUrls {
    /// Any of them first, so that instances spread; `None` if there are none.
    pub(super) fn new(urls: Vec<ServiceUrl>) -> Option<Self> {
        if urls.is_empty() {
            return None;
        }
        let first = AtomicUsize::new(rand::rng().random_range(0..urls.len()));
        Some(Self { urls, first })
    }

    pub(super) fn first(&self) -> usize {
        self.first.load(Ordering::Relaxed)
    }

    pub(super) fn len(&self) -> usize {
        self.urls.len()
    }

    pub(super) fn get(&self, index: usize) -> &ServiceUrl {
        &self.urls[index]
    }

    /// The one so many places behind another.
    pub(super) fn behind(&self, index: usize, places: usize) -> usize {
        (index + places) % self.urls.len()
    }

    /// This one answered: later questions go there first.
    pub(super) fn answered(&self, index: usize) {
        self.first.store(index, Ordering::Relaxed);
    }

    /// This one did not: later questions go elsewhere first.
    pub(super) fn leave(&self, index: usize) {
        let next = self.behind(index, 1);
        // Another question may have found one that answers by now: it stays.
        let _ = self.first.compare_exchange(index, next, Ordering::Relaxed, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_url_may_have_a_path() {
        let joined = |base: &str| ServiceUrl::parse(base).unwrap().join("/v1/query").to_string();
        assert_eq!(joined("http://a:8082"), "http://a:8082/v1/query");
        assert_eq!(joined("https://a/"), "https://a/v1/query");
        assert_eq!(joined("http://[::1]:1/clicks/eu/"), "http://[::1]:1/clicks/eu/v1/query");
    }

    /// Seen to fail when a user and a password were let through.
    #[test]
    fn what_is_no_base_url_is_refused_in_a_sentence() {
        for (text, word) in [
            ("", "http://"),
            ("a:8082", "http://"),
            ("//a:8082", "http://"),
            ("http://", "host"),
            ("http://a:99999", "port"),
            ("mysql://a/b", "mysql"),
            ("http://user@a:8082", "secret"),
            ("http://user:hunter22@a:8082", "secret"),
            ("http://a:8082/?x=1", "query"),
            ("http://a:8082/#x", "query"),
        ] {
            let said = ServiceUrl::parse(text).unwrap_err().to_string();
            assert!(said.contains(word) && !said.contains("hunter22"), "{text}: {said}");
        }
    }

    /// Seen to fail when the first one of the list was always the first to be tried.
    #[test]
    fn instances_spread_over_the_urls_and_stay_with_what_answers() {
        let urls = || (0..4).map(|n| ServiceUrl::parse(&format!("http://a{n}")).unwrap()).collect();
        let firsts: std::collections::HashSet<_> =
            (0..200).map(|_| ServiceUrls::new(urls()).unwrap().first()).collect();
        assert_eq!(firsts.len(), 4);

        let urls = ServiceUrls::new(urls()).unwrap();
        urls.answered(2);
        urls.leave(2);
        assert_eq!((urls.first(), urls.behind(3, 1), urls.behind(3, 2)), (3, 0, 1));
        urls.leave(0);
        assert_eq!(urls.first(), 3, "a late failure of another one changes nothing");
        assert!(ServiceUrls::new(Vec::new()).is_none());
    }
}
