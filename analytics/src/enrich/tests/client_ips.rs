use std::net::IpAddr;

use ipnet::IpNet;
use proptest::prelude::*;

use super::counted;
use crate::enrich::client_ip::{ClientIp, MAX_HOPS, client_ip};

fn trusted() -> Vec<IpNet> {
    ["10.0.0.0/8", "fd00::/8"].map(|net| net.parse().unwrap()).to_vec()
}

/// Peer, `X-Forwarded-For`, the client; whether the walk was cut short.
///
/// Seen to fail, row by row, when the header was believed of any peer, when it was read from the left, when a malformed entry
/// was skipped, and when mapped addresses were left as they are.
const WALKS: &[(&str, &str, &str, bool)] = &[
    // Nothing to believe.
    ("203.0.113.7", "", "203.0.113.7", false),
    ("10.0.0.1", "", "10.0.0.1", false),
    ("10.0.0.1", "  ", "10.0.0.1", false),
    // A peer that is not trusted says what it likes.
    ("203.0.113.7", "198.51.100.1", "203.0.113.7", false),
    ("203.0.113.7", "10.0.0.2", "203.0.113.7", false),
    ("203.0.113.7", "garbage", "203.0.113.7", false),
    // One proxy, and what the client wrote to the left of it.
    ("10.0.0.1", "198.51.100.1", "198.51.100.1", false),
    ("10.0.0.1", "1.1.1.1, 198.51.100.1", "198.51.100.1", false),
    ("10.0.0.1", "10.9.9.9, 198.51.100.1", "198.51.100.1", false),
    ("10.0.0.1", "garbage, 198.51.100.1", "198.51.100.1", false),
    // A chain of proxies, and a client inside.
    ("10.0.0.1", "1.1.1.1, 198.51.100.1, 10.0.0.3,10.0.0.2", "198.51.100.1", false),
    ("10.0.0.1", "10.0.0.4, 10.0.0.3", "10.0.0.4", false),
    ("10.0.0.1", "10.0.0.4, 198.51.100.1, 10.0.0.3", "198.51.100.1", false),
    // IPv6, ports, brackets.
    ("fd00::1", "2001:db8::7", "2001:db8::7", false),
    ("fd00::1", "[2001:db8::7]", "2001:db8::7", false),
    ("fd00::1", "[2001:db8::7]:4711", "2001:db8::7", false),
    ("10.0.0.1", "198.51.100.1:4711", "198.51.100.1", false),
    ("10.0.0.1", "2001:db8::7, [fd00::2]:80", "2001:db8::7", false),
    // Mapped ones are IPv4, wherever they stand.
    ("::ffff:203.0.113.7", "", "203.0.113.7", false),
    ("::ffff:10.0.0.1", "198.51.100.1", "198.51.100.1", false),
    ("10.0.0.1", "::ffff:198.51.100.1", "198.51.100.1", false),
    ("10.0.0.1", "198.51.100.1, [::ffff:10.0.0.2]:80", "198.51.100.1", false),
    // Malformed: the last good one it is.
    ("10.0.0.1", "garbage", "10.0.0.1", true),
    ("10.0.0.1", "unknown, 10.0.0.2", "10.0.0.2", true),
    ("10.0.0.1", "198.51.100.1, , 10.0.0.2", "10.0.0.2", true),
    ("10.0.0.1", "198.51.100.1,", "10.0.0.1", true),
    ("10.0.0.1", ",", "10.0.0.1", true),
    ("10.0.0.1", "198.51.100.1:", "10.0.0.1", true),
    ("10.0.0.1", "198.51.100.1:99999", "10.0.0.1", true),
    ("10.0.0.1", "[198.51.100.1]", "10.0.0.1", true),
    ("10.0.0.1", "[2001:db8::7", "10.0.0.1", true),
    ("10.0.0.1", "198.51.100.256", "10.0.0.1", true),
    ("10.0.0.1", "198.51.100.1 10.0.0.2", "10.0.0.1", true),
    ("10.0.0.1", "for=198.51.100.1", "10.0.0.1", true),
];

#[test]
fn the_client_is_the_nearest_that_is_not_trusted() {
    for &(peer, forwarded_for, address, cut_short) in WALKS {
        let found = client_ip(peer.parse().unwrap(), forwarded_for.as_bytes(), &trusted());
        let expected = ClientIp { address: address.parse().unwrap(), cut_short };
        assert_eq!(found, expected, "{peer} {forwarded_for:?}");
    }
}

#[test]
fn a_chain_without_end_is_cut_short() {
    let chain = |hops: usize| format!("198.51.100.1{}", ", 10.0.0.2".repeat(hops - 1));
    let peer = "10.0.0.1".parse().unwrap();
    let longest = client_ip(peer, chain(MAX_HOPS).as_bytes(), &trusted());
    assert_eq!((longest.address.to_string().as_str(), longest.cut_short), ("198.51.100.1", false));
    let longer = client_ip(peer, chain(MAX_HOPS + 1).as_bytes(), &trusted());
    assert_eq!((longer.address.to_string().as_str(), longer.cut_short), ("10.0.0.2", true));
}

#[test]
fn a_malformed_header_is_counted() {
    let counts = counted(|| super::clicks::click_from("10.0.0.1", "garbage", &trusted()));
    assert!(counts.contains("septet_enrich_forwarded_for_malformed_total 1"), "{counts}");
}

proptest! {
    #[test]
    fn any_header_is_read(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        client_ip("10.0.0.1".parse().unwrap(), &bytes, &trusted());
    }

    /// Whatever a client writes into the header, the address that the trusted proxy saw stands.
    #[test]
    fn no_client_writes_its_own_address(forged in "[0-9a-f.:, \\[\\]x]{0,60}", seen in any::<IpAddr>()) {
        let seen = seen.to_canonical();
        prop_assume!(!trusted().iter().any(|net| net.contains(&seen)));
        let found = client_ip("10.0.0.1".parse().unwrap(), format!("{forged},{seen}").as_bytes(), &trusted());
        prop_assert_eq!(found, ClientIp { address: seen, cut_short: false });
    }
}
