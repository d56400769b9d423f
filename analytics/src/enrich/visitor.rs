//! The visitor hash: tells visitors apart for two days, and says nothing of them afterwards.
//!
//! It is a hash of a salt, the address and the `User-Agent`. The salt is random, belongs to one period of two whole UTC days, and
//! is thrown away after it ([`Salts`](super::salts::Salts)). While it lives, hashes could be compared with guessed addresses only by
//! someone who holds it; once it is gone, by nobody. The address itself is in nothing that leaves the enricher.

use std::net::{IpAddr, Ipv6Addr};

use sha2::{Digest, Sha256};

/// How long a salt is in use, in milliseconds: two days, from midnight to midnight in UTC.
pub const PERIOD_MS: i64 = 2 * 24 * 60 * 60 * 1000;

/// Secret, random, and used in one period only.
pub type Salt = [u8; 32];

/// The period in which a moment lies, given in Unix milliseconds, counted from 1970. Moments that no clock should
/// show count as the first or the last there is.
pub fn period(at_ms: i64) -> u32 {
    let period = at_ms.div_euclid(PERIOD_MS).max(0);
    u32::try_from(period).unwrap_or(u32::MAX)
}

/// Uniform over all of `u64`, the same for the same visitor under the same salt. An IPv6 address counts by its first 64 bits, as the
/// others change daily on a person's machine.
pub fn visitor(salt: &Salt, address: IpAddr, user_agent: &[u8]) -> u64 {
    let mut hash = Sha256::new();
    hash.update(salt);
    hash.update(network(address).octets());
    hash.update(user_agent);
    let digest = hash.finalize();
    u64::from_le_bytes(*digest.first_chunk().expect("a SHA-256 has 32 bytes"))
}

/// Of a fixed length, so that an address and a `User-Agent` never run into each other.
fn network(address: IpAddr) -> Ipv6Addr {
    const FIRST_64_BITS: u128 = !0 << 64;
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.to_ipv6_mapped(),
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & FIRST_64_BITS),
    }
}
