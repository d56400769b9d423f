//! What a redirect needs of a link: where it leads and until when.

use smallvec::SmallVec;

use crate::link::{Link, LinkId, RedirectStatus};

/// URLs up to so many bytes cost no allocation when they are copied out of the cache; most are shorter.
const INLINE_BYTES: usize = 128;

/// A link, as far as a redirect needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    link: LinkId,
    /// `i64::MAX` for never.
    expires_at_ms: i64,
    status: RedirectStatus,
    /// Where the destination ends in `urls`; the rest is where an expired link leads, if anywhere.
    url_len: usize,
    urls: SmallVec<[u8; INLINE_BYTES]>,
}

/// A target, taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parts<'a> {
    pub link: LinkId,
    /// `i64::MAX` for never.
    pub expires_at_ms: i64,
    pub status: RedirectStatus,
    pub url: &'a [u8],
    /// Empty if it leads nowhere once it has expired.
    pub expired_url: &'a [u8],
}

/// What a link answers at some moment.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome<'a> {
    /// To its destination: a click.
    Redirect { link: LinkId, location: &'a [u8], status: RedirectStatus },
    /// It has expired, and leads to its `expiredUrl`: not a click, as nobody reached the destination.
    Expired { link: LinkId, location: &'a [u8] },
    /// It has expired, and leads nowhere.
    Gone,
}

impl Target {
    pub fn of(link: &Link) -> Self {
        let parts = Parts {
            link: link.id,
            expires_at_ms: link.expires_at_ms.unwrap_or(i64::MAX),
            status: link.redirect_status,
            url: link.url.as_str().as_bytes(),
            expired_url: link.expired_url.as_ref().map_or("", |url| url.as_str()).as_bytes(),
        };
        parts.into()
    }

    /// What it answers at this moment.
    pub fn at(&self, now_ms: i64) -> Outcome<'_> {
        let Parts { link, expires_at_ms, status, url, expired_url } = self.parts();
        if now_ms < expires_at_ms {
            Outcome::Redirect { link, location: url, status }
        } else if expired_url.is_empty() {
            Outcome::Gone
        } else {
            Outcome::Expired { link, location: expired_url }
        }
    }

    pub fn parts(&self) -> Parts<'_> {
        let (url, expired_url) = self.urls.split_at(self.url_len);
        Parts { link: self.link, expires_at_ms: self.expires_at_ms, status: self.status, url, expired_url }
    }
}

impl From<Parts<'_>> for Target {
    fn from(Parts { link, expires_at_ms, status, url, expired_url }: Parts<'_>) -> Self {
        let mut urls = SmallVec::with_capacity(url.len() + expired_url.len());
        urls.extend_from_slice(url);
        urls.extend_from_slice(expired_url);
        Target { link, expires_at_ms, status, url_len: url.len(), urls }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        destination::{Destination, Home},
        key::{Alias, Domain, Key},
    };

    fn link(expires_at_ms: Option<i64>, expired_url: Option<&str>) -> Link {
        let home = Home::parse("http://localhost").unwrap();
        Link {
            id: LinkId(7),
            domain: Domain::default(),
            key: Key::Alias(Alias::parse("a").unwrap()),
            url: Destination::parse("https://example.com/a", &home).unwrap(),
            external_id: None,
            expires_at_ms,
            expired_url: expired_url.map(|url| Destination::parse(url, &home).unwrap()),
            title: None,
            comments: None,
            archived: false,
            redirect_status: RedirectStatus::PermanentRedirect,
            created_at_ms: 0,
            updated_at_ms: 0,
            revision: 1,
        }
    }

    /// Seen to fail with `<=` in place of `<` in `at`, and with the URLs joined the other way round.
    #[test]
    fn expires_at_its_millisecond() {
        let location = b"https://example.com/a".as_slice();
        let redirect = Outcome::Redirect { link: LinkId(7), location, status: RedirectStatus::PermanentRedirect };
        assert_eq!(Target::of(&link(None, None)).at(i64::MAX - 1), redirect);
        let target = Target::of(&link(Some(100), None));
        assert_eq!(target.at(99), redirect);
        assert_eq!(target.at(100), Outcome::Gone);
        let target = Target::of(&link(Some(100), Some("https://example.com/late")));
        assert_eq!(target.at(99), redirect);
        assert_eq!(target.at(100), Outcome::Expired { link: LinkId(7), location: b"https://example.com/late" });
    }
}
