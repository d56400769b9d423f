//! One cached link as bytes, and nothing beside them: 22 bytes and its URL, for a link with a code that does not
//! expire.
//!
//! | bytes | what |
//! |---|---|
//! | 1 | the redirect's status, and which of the parts below there are |
//! | 6 | until when it is fresh, in milliseconds of uptime |
//! | 6 | the link's id |
//! | 2 | the URL's length |
//! | 2 | the key's length, for an alias; a code has [`CODE_LEN`] bytes |
//! | | the key |
//! | 8 | when it expires, in Unix milliseconds, if ever |
//! | 2 | the expired URL's length, if there is one |
//! | | the URL, the expired URL |
//!
//! All numbers are little-endian. A key is told from any other by its bytes alone: a code holds an upper-case letter,
//! an alias never does.

use std::iter;

use crate::{
    code::CODE_LEN,
    key::Key,
    link::{LinkId, RedirectStatus},
    redirect::target::{Parts, Target},
};

/// Every redirect status, at the number that stands for it.
const STATUSES: [RedirectStatus; 4] = [
    RedirectStatus::MovedPermanently,
    RedirectStatus::Found,
    RedirectStatus::TemporaryRedirect,
    RedirectStatus::PermanentRedirect,
];
const STATUS_BITS: u8 = 0b11;
const IS_ALIAS: u8 = 1 << 2;
const EXPIRES: u8 = 1 << 3;
const HAS_EXPIRED_URL: u8 = 1 << 4;

/// What stands before the key or its length.
const HEAD_BYTES: usize = 1 + 6 + 6 + 2;

/// The most that fits into six bytes.
const U48_MAX: u64 = (1 << 48) - 1;

/// A record, read.
pub struct Record<'a> {
    pub key: &'a [u8],
    pub fresh_until_ms: i64,
    pub parts: Parts<'a>,
    /// How many bytes it takes.
    pub len: usize,
}

impl<'a> Record<'a> {
    /// Writes a record. `None` for what does not fit, which no link does that was parsed before it was stored: an id of
    /// more than six bytes, a URL or key of more than 65,535.
    pub fn pack(key: &Key, target: &Target, fresh_until_ms: i64) -> Option<Vec<u8>> {
        let parts = target.parts();
        let is_alias = matches!(key, Key::Alias(_));
        let key = key.as_bytes();
        let expires = parts.expires_at_ms != i64::MAX;
        let has_expired_url = !parts.expired_url.is_empty();
        let status = STATUSES.iter().position(|status| *status == parts.status)?;
        let flag = |set: bool, flag: u8| if set { flag } else { 0 };

        let mut record = Vec::with_capacity(32 + key.len() + parts.url.len() + parts.expired_url.len());
        let flags = flag(is_alias, IS_ALIAS) | flag(expires, EXPIRES) | flag(has_expired_url, HAS_EXPIRED_URL);
        record.push(u8::try_from(status).ok()? | flags);
        record.extend_from_slice(&u48_of(freshness(fresh_until_ms))?);
        record.extend_from_slice(&u48_of(parts.link.0)?);
        record.extend_from_slice(&len_of(parts.url)?);
        if is_alias {
            record.extend_from_slice(&len_of(key)?);
        }
        record.extend_from_slice(key);
        if expires {
            record.extend_from_slice(&parts.expires_at_ms.to_le_bytes());
        }
        if has_expired_url {
            record.extend_from_slice(&len_of(parts.expired_url)?);
        }
        record.extend_from_slice(parts.url);
        record.extend_from_slice(parts.expired_url);
        Some(record)
    }

    /// Reads the record that `bytes` begin with.
    pub fn read(bytes: &'a [u8]) -> Self {
        let mut rest = bytes;
        let [flags] = take(&mut rest);
        let fresh_until_ms = u48(take(&mut rest)) as i64;
        let link = LinkId(u48(take(&mut rest)));
        let url_len = len(take(&mut rest));
        let key_len = if flags & IS_ALIAS != 0 { len(take(&mut rest)) } else { CODE_LEN };
        let (key, mut rest) = rest.split_at(key_len);
        let expires_at_ms = if flags & EXPIRES != 0 { i64::from_le_bytes(take(&mut rest)) } else { i64::MAX };
        let expired_url_len = if flags & HAS_EXPIRED_URL != 0 { len(take(&mut rest)) } else { 0 };
        let (url, rest) = rest.split_at(url_len);
        let (expired_url, rest) = rest.split_at(expired_url_len);
        let status = STATUSES[usize::from(flags & STATUS_BITS)];
        let parts = Parts { link, expires_at_ms, status, url, expired_url };
        Record { key, fresh_until_ms, parts, len: bytes.len() - rest.len() }
    }

    /// The key of the record that `bytes` begin with: what most looks end at, without reading the rest.
    pub fn key(bytes: &'a [u8]) -> &'a [u8] {
        let rest = &bytes[HEAD_BYTES..];
        if bytes[0] & IS_ALIAS == 0 {
            return &rest[..CODE_LEN];
        }
        let (key_len, rest) = rest.split_at(2);
        &rest[..len([key_len[0], key_len[1]])]
    }

    /// Reads records, one behind the other, each with its offset.
    pub fn all(bytes: &'a [u8]) -> impl Iterator<Item = (usize, Self)> {
        let mut next = 0;
        iter::from_fn(move || {
            let rest = bytes.get(next..).filter(|rest| !rest.is_empty())?;
            let record = Record::read(rest);
            let offset = next;
            next += record.len;
            Some((offset, record))
        })
    }

    /// Changes until when the record that `bytes` begin with is fresh.
    pub fn set_fresh_until(bytes: &mut [u8], fresh_until_ms: i64) {
        let fresh_until = u48_of(freshness(fresh_until_ms)).expect("it was made to fit");
        bytes[1..7].copy_from_slice(&fresh_until);
    }
}

/// What six bytes hold of a time: 8,900 years of uptime.
fn freshness(fresh_until_ms: i64) -> u64 {
    u64::try_from(fresh_until_ms).unwrap_or(0).min(U48_MAX)
}

/// The next bytes of a record.
fn take<const COUNT: usize>(rest: &mut &[u8]) -> [u8; COUNT] {
    let (taken, left) = rest.split_first_chunk().expect("records are whole");
    *rest = left;
    *taken
}

fn u48_of(number: u64) -> Option<[u8; 6]> {
    let [low @ .., 0, 0] = number.to_le_bytes() else { return None };
    Some(low)
}

fn u48(low: [u8; 6]) -> u64 {
    let mut bytes = [0; 8];
    bytes[..6].copy_from_slice(&low);
    u64::from_le_bytes(bytes)
}

fn len_of(bytes: &[u8]) -> Option<[u8; 2]> {
    u16::try_from(bytes.len()).ok().map(u16::to_le_bytes)
}

fn len(bytes: [u8; 2]) -> usize {
    usize::from(u16::from_le_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::tests::any_key, *};

    proptest! {
        /// Seen to fail with the lengths of the two URLs read the other way round, without the expiry, with five bytes
        /// of the id, and when the freshness was not changed.
        #[test]
        fn what_is_packed_is_read_back(
            key in any_key(),
            link in 0..=U48_MAX,
            status in prop::sample::select(&STATUSES[..]),
            expires_at_ms in prop_oneof![Just(i64::MAX), any::<i64>()],
            url in prop::collection::vec(any::<u8>(), 0..300),
            expired_url in prop::collection::vec(any::<u8>(), 0..300),
            fresh_until_ms in 0..=U48_MAX as i64,
            later_ms in 0..=U48_MAX as i64,
            behind in prop::collection::vec(any::<u8>(), 0..10),
        ) {
            let parts = Parts { link: LinkId(link), expires_at_ms, status, url: &url, expired_url: &expired_url };
            let mut bytes = Record::pack(&key, &Target::from(parts), fresh_until_ms).unwrap();
            let len = bytes.len();
            bytes.extend_from_slice(&behind);
            let read = Record::read(&bytes);
            prop_assert_eq!((read.key, read.fresh_until_ms), (key.as_str().as_bytes(), fresh_until_ms));
            prop_assert_eq!((read.parts, read.len), (parts, len));
            prop_assert_eq!(Record::key(&bytes), read.key);
            Record::set_fresh_until(&mut bytes, later_ms);
            let read = Record::read(&bytes);
            prop_assert_eq!((read.fresh_until_ms, read.parts), (later_ms, parts));
        }
    }

    /// Seen to fail when what does not fit was cut off.
    #[test]
    fn what_does_not_fit_is_not_packed() {
        let key = Key::from_stored("a");
        let pack = |link: u64, url: &[u8]| {
            let (link, status) = (LinkId(link), RedirectStatus::Found);
            Record::pack(&key, &Parts { link, expires_at_ms: 1, status, url, expired_url: b"" }.into(), 0).map(drop)
        };
        let longest = vec![b'a'; usize::from(u16::MAX)];
        assert_eq!(pack(U48_MAX, &longest), Some(()));
        assert_eq!(pack(U48_MAX + 1, &longest), None);
        assert_eq!(pack(1, &[&longest[..], b"a"].concat()), None);
    }

    /// A time before the start or after the end of time is the nearest one that fits: seen to fail when it was cut off.
    #[test]
    fn any_time_is_kept_as_near_as_it_fits() {
        let parts =
            Parts { link: LinkId(1), expires_at_ms: 1, status: RedirectStatus::Found, url: b"", expired_url: b"" };
        for (given_ms, kept_ms) in [(-1, 0), (i64::MIN, 0), (i64::MAX, U48_MAX as i64)] {
            let bytes = Record::pack(&Key::from_stored("a"), &parts.into(), given_ms).unwrap();
            assert_eq!(Record::read(&bytes).fresh_until_ms, kept_ms);
        }
    }
}
