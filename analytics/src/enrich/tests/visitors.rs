use std::net::IpAddr;

use proptest::prelude::*;

use crate::enrich::visitor::{PERIOD_MS, Salt, period, visitor};

const SALT: Salt = [7; 32];

fn hash(address: &str, user_agent: &str) -> u64 {
    visitor(&SALT, address.parse().unwrap(), user_agent.as_bytes())
}

#[test]
fn a_visitor_is_an_address_and_a_program() {
    assert_eq!(hash("192.0.2.1", "a"), hash("192.0.2.1", "a"));
    assert_eq!(hash("192.0.2.1", "a"), hash("::ffff:192.0.2.1", "a"));
    assert_ne!(hash("192.0.2.1", "a"), hash("192.0.2.2", "a"));
    assert_ne!(hash("192.0.2.1", "a"), hash("192.0.2.1", "b"));
    let other_salt = visitor(&[8; 32], "192.0.2.1".parse().unwrap(), b"a");
    assert_ne!(hash("192.0.2.1", "a"), other_salt);
}

/// Seen to fail when the whole address was hashed.
#[test]
fn an_ipv6_address_counts_by_its_first_64_bits() {
    assert_eq!(hash("2001:db8:0:1::1", "a"), hash("2001:db8:0:1:ffff:ffff:ffff:ffff", "a"));
    assert_ne!(hash("2001:db8:0:1::1", "a"), hash("2001:db8:0:2::1", "a"));
}

#[test]
fn a_period_is_two_whole_days_in_utc() {
    let first = period(0);
    assert_eq!(period(PERIOD_MS - 1), first);
    assert_eq!(period(PERIOD_MS), first + 1);
    // 2026-11-20 is the 20,777th day of the Unix calendar: an odd one, so the second of its period.
    let day_ms = PERIOD_MS / 2;
    assert_eq!(period(20_777 * day_ms), 10_388);
    assert_eq!(period(20_776 * day_ms), 10_388);
    assert_eq!(period(20_778 * day_ms - 1), 10_388);
    assert_eq!(period(20_778 * day_ms), 10_389);
}

#[test]
fn moments_that_no_clock_should_show_have_a_period_too() {
    assert_eq!((period(-1), period(i64::MIN), period(i64::MAX)), (0, 0, u32::MAX));
}

proptest! {
    #[test]
    fn anything_is_hashed(salt in any::<Salt>(), address in any::<IpAddr>(), bytes in prop::collection::vec(any::<u8>(), 0..99)) {
        prop_assert_eq!(visitor(&salt, address, &bytes), visitor(&salt, address.to_canonical(), &bytes));
    }
}
