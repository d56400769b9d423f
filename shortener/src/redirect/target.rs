//! What the cache keeps of a link: where it leads and until when, in one allocation.

use triomphe::ThinArc;

use crate::link::{Link, LinkId, RedirectStatus};

/// A link, as far as a redirect needs it.
#[derive(Clone)]
pub struct Target(ThinArc<Head, u8>);

struct Head {
    link: LinkId,
    /// `i64::MAX` for never.
    expires_at_ms: i64,
    /// Where the destination ends in the bytes that follow; the rest is where an expired link leads, if anywhere.
    url_bytes: u32,
    status: RedirectStatus,
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
    /// The bytes that one target costs beside its URLs: the head and what the allocation adds.
    pub const OVERHEAD_BYTES: u64 = size_of::<Head>() as u64 + 32;

    pub fn of(link: &Link) -> Self {
        let url = link.url.as_str().as_bytes();
        let expired_url = link.expired_url.as_ref().map_or("", |url| url.as_str()).as_bytes();
        let head = Head {
            link: link.id,
            expires_at_ms: link.expires_at_ms.unwrap_or(i64::MAX),
            url_bytes: u32::try_from(url.len()).expect("a destination is at most 32,000 bytes"),
            status: link.redirect_status,
        };
        // One exact allocation: the bytes are taken from both URLs as they are copied in.
        let bytes = Joined { first: url, second: expired_url };
        Target(ThinArc::from_header_and_iter(head, bytes))
    }

    /// What it answers at this moment.
    pub fn at(&self, now_ms: i64) -> Outcome<'_> {
        let head = &self.0.header.header;
        let (url, expired_url) = self.0.slice.split_at(head.url_bytes as usize);
        if now_ms < head.expires_at_ms {
            Outcome::Redirect { link: head.link, location: url, status: head.status }
        } else if expired_url.is_empty() {
            Outcome::Gone
        } else {
            Outcome::Expired { link: head.link, location: expired_url }
        }
    }

    /// The bytes of its URLs.
    pub fn bytes(&self) -> u64 {
        self.0.slice.len() as u64
    }
}

/// Two slices, one after the other, of a known length together.
struct Joined<'a> {
    first: &'a [u8],
    second: &'a [u8],
}

impl Iterator for Joined<'_> {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        if self.first.is_empty() {
            std::mem::swap(&mut self.first, &mut self.second);
        }
        let (byte, rest) = self.first.split_first()?;
        self.first = rest;
        Some(*byte)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let len = self.first.len() + self.second.len();
        (len, Some(len))
    }
}

impl ExactSizeIterator for Joined<'_> {}

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
