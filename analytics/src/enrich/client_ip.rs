//! The address of the client behind trusted proxies. Pure.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;

/// Entries of one `X-Forwarded-For` that are looked at, from the right. Beyond them the walk ends as at a malformed entry.
pub const MAX_HOPS: usize = 32;

/// The outcome of [`client_ip`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientIp {
    /// Never an IPv4-mapped IPv6 address.
    pub address: IpAddr,
    /// The walk ended early: at an entry that is no address, or at [`MAX_HOPS`].
    pub cut_short: bool,
}

/// Whose request this is: the address nearest to us that is not one of the `trusted` proxies.
///
/// `forwarded_for` is the value of `X-Forwarded-For` (several headers joined by commas, in order). Each proxy adds, on the right, the
/// address that it was called from; so an entry is worth as much as the one who wrote it. It is believed only
/// while everyone from the peer up to its writer is trusted, and what a client wrote into the header itself is never reached. If all are
/// trusted, the leftmost it is. An entry that is no address ends the walk at the last one that was.
///
/// An entry is an address, with or without a port, IPv6 with or without brackets (with a port only in brackets).
pub fn client_ip(peer: IpAddr, forwarded_for: &[u8], trusted: &[IpNet]) -> ClientIp {
    let is_trusted = |address: IpAddr| trusted.iter().any(|net| net.contains(&address));
    let mut address = peer.to_canonical();
    if forwarded_for.trim_ascii().is_empty() {
        return ClientIp { address, cut_short: false };
    }
    for (hop, entry) in forwarded_for.rsplit(|&byte| byte == b',').enumerate() {
        if !is_trusted(address) {
            break;
        }
        match parse_entry(entry) {
            Some(next) if hop < MAX_HOPS => address = next,
            _ => return ClientIp { address, cut_short: true },
        }
    }
    ClientIp { address, cut_short: false }
}

fn parse_entry(entry: &[u8]) -> Option<IpAddr> {
    let entry = std::str::from_utf8(entry.trim_ascii()).ok()?;
    let bare = entry.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let address = match bare {
        Some(v6) => IpAddr::V6(v6.parse().ok()?),
        None => entry.parse().or_else(|_| entry.parse::<SocketAddr>().map(|socket| socket.ip())).ok()?,
    };
    Some(address.to_canonical())
}
