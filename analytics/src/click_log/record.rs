//! A record of the click log: what the redirect knew, as it knew it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Longer headers are cut to these lengths, in bytes: at their end, and `X-Forwarded-For` at its beginning, which is the client's to write,
/// while the end is what the nearest proxy added.
pub const USER_AGENT_MAX_BYTES: usize = 512;
pub const REFERER_MAX_BYTES: usize = 1024;
pub const FORWARDED_FOR_MAX_BYTES: usize = 512;
pub const COUNTRY_MAX_BYTES: usize = 8;

/// Time, link, length of the address, lengths of the headers.
const FIXED_BYTES: usize = 8 + 8 + 1 + 2 + 2 + 2 + 1;
/// The longest encoding of a click.
pub(super) const BODY_MAX_BYTES: usize =
    FIXED_BYTES + 16 + USER_AGENT_MAX_BYTES + REFERER_MAX_BYTES + FORWARDED_FOR_MAX_BYTES + COUNTRY_MAX_BYTES;

/// A click as the redirect saw it: raw, borrowed from the request, enriched later and elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RawClick<'a> {
    /// Unix milliseconds.
    pub at_ms: i64,
    /// The id of the link.
    pub link: u64,
    /// The peer of the connection: a person's address, or a proxy's.
    pub peer: IpAddr,
    /// Headers as they came, empty if absent: `User-Agent`, `Referer`, `X-Forwarded-For`, and the header in which a CDN
    /// names the country, if the operator named one.
    pub user_agent: &'a [u8],
    pub referer: &'a [u8],
    pub forwarded_for: &'a [u8],
    pub country: &'a [u8],
}

impl<'a> RawClick<'a> {
    /// The click with its headers cut to their greatest lengths, and how many had to be.
    pub(super) fn cut(&self) -> (Self, u64) {
        let mut cuts = 0;
        let mut cut = |field: &'a [u8], max: usize, keep: fn(&[u8], usize) -> &[u8]| match field.len() > max {
            true => {
                cuts += 1;
                keep(field, max)
            }
            false => field,
        };
        let click = Self {
            user_agent: cut(self.user_agent, USER_AGENT_MAX_BYTES, beginning),
            referer: cut(self.referer, REFERER_MAX_BYTES, beginning),
            forwarded_for: cut(self.forwarded_for, FORWARDED_FOR_MAX_BYTES, last_entries),
            country: cut(self.country, COUNTRY_MAX_BYTES, beginning),
            ..*self
        };
        (click, cuts)
    }

    /// The length of its encoding.
    pub(super) fn encoded_bytes(&self) -> usize {
        let peer = if self.peer.is_ipv4() { 4 } else { 16 };
        let headers = self.user_agent.len() + self.referer.len() + self.forwarded_for.len() + self.country.len();
        FIXED_BYTES + peer + headers
    }

    /// Encodes a click that was [`cut`](Self::cut) into exactly [`encoded_bytes`](Self::encoded_bytes).
    pub(super) fn encode(&self, body: &mut [u8]) {
        let (v4, v6);
        let peer: &[u8] = match self.peer {
            IpAddr::V4(address) => {
                v4 = address.octets();
                &v4
            }
            IpAddr::V6(address) => {
                v6 = address.octets();
                &v6
            }
        };
        let (fixed, mut rest) = body.split_at_mut(FIXED_BYTES);
        fixed[0..8].copy_from_slice(&self.at_ms.to_le_bytes());
        fixed[8..16].copy_from_slice(&self.link.to_le_bytes());
        fixed[16] = peer.len() as u8;
        fixed[17..19].copy_from_slice(&(self.user_agent.len() as u16).to_le_bytes());
        fixed[19..21].copy_from_slice(&(self.referer.len() as u16).to_le_bytes());
        fixed[21..23].copy_from_slice(&(self.forwarded_for.len() as u16).to_le_bytes());
        fixed[23] = self.country.len() as u8;
        for field in [peer, self.user_agent, self.referer, self.forwarded_for, self.country] {
            let (head, tail) = rest.split_at_mut(field.len());
            head.copy_from_slice(field);
            rest = tail;
        }
    }

    /// Reads an encoding; `None` if it is not one.
    pub(super) fn decode(body: &'a [u8]) -> Option<Self> {
        let (fixed, mut rest) = body.split_first_chunk::<FIXED_BYTES>()?;
        let peer_bytes = fixed[16] as usize;
        let lengths = [
            u16::from_le_bytes([fixed[17], fixed[18]]) as usize,
            u16::from_le_bytes([fixed[19], fixed[20]]) as usize,
            u16::from_le_bytes([fixed[21], fixed[22]]) as usize,
            fixed[23] as usize,
        ];
        let peer = match peer_bytes {
            4 => {
                let (octets, tail) = rest.split_first_chunk::<4>()?;
                rest = tail;
                IpAddr::V4(Ipv4Addr::from_octets(*octets))
            }
            16 => {
                let (octets, tail) = rest.split_first_chunk::<16>()?;
                rest = tail;
                IpAddr::V6(Ipv6Addr::from_octets(*octets))
            }
            _ => return None,
        };
        let mut headers = [&[][..]; 4];
        for (header, length) in headers.iter_mut().zip(lengths) {
            (*header, rest) = rest.split_at_checked(length)?;
        }
        let [user_agent, referer, forwarded_for, country] = headers;
        let (at_ms, link) = (fixed.first_chunk::<8>()?, fixed[8..].first_chunk::<8>()?);
        rest.is_empty().then_some(Self {
            at_ms: i64::from_le_bytes(*at_ms),
            link: u64::from_le_bytes(*link),
            peer,
            user_agent,
            referer,
            forwarded_for,
            country,
        })
    }
}

fn beginning(field: &[u8], max: usize) -> &[u8] {
    &field[..max]
}

/// As many of the last entries of a list as have room, each whole: half an address may pass for another one.
fn last_entries(list: &[u8], max: usize) -> &[u8] {
    let tail = &list[list.len().saturating_sub(max + 1)..];
    tail.iter().position(|byte| *byte == b',').map_or(&[], |comma| &tail[comma + 1..])
}
