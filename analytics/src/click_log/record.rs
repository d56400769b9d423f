//! A record of the click log: what the redirect knew, as it knew it.

use std::net::IpAddr;

/// A click as the redirect saw it: raw, borrowed from the request, enriched later and elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RawClick<'a> {
    /// Unix milliseconds.
    pub at_ms: i64,
    /// The id of the link.
    pub link: u64,
    /// The peer of the connection: a person's address, or a proxy's.
    pub peer: IpAddr,
    /// Headers as they came, empty if absent: `User-Agent`, `Referer`, `X-Forwarded-For`, and the header in which a CDN names the
    /// country, if the operator named one.
    pub user_agent: &'a [u8],
    pub referer: &'a [u8],
    pub forwarded_for: &'a [u8],
    pub country: &'a [u8],
}
