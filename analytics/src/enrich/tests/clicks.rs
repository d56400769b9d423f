use std::{collections::HashMap, net::IpAddr};

use ipnet::IpNet;
use proptest::prelude::*;

use super::{counted, test_file};
use crate::{
    click::{Click, LogId, Place},
    click_log::record::RawClick,
    enrich::{EnrichSettings, Enricher, MAX_USER_AGENT_BYTES, salts::Salts, visitor::Salt},
};

/// Salts without a file, by the same law.
#[derive(Default)]
struct MemorySalts(HashMap<u32, Salt>);

impl Salts for MemorySalts {
    fn salt(&mut self, period: u32) -> Salt {
        *self.0.entry(period).or_insert_with(rand::random)
    }

    fn held(&self, period: u32) -> Option<Salt> {
        self.0.get(&period).copied()
    }

    fn share(&mut self, period: u32, salt: Salt) -> bool {
        *self.0.entry(period).or_insert(salt) == salt
    }

    fn expire(&mut self, _now_ms: i64) {
        self.0.clear();
    }
}

fn enricher(trusted_proxies: &[IpNet]) -> Enricher {
    let settings = EnrichSettings {
        geoip_db: Some(test_file("GeoIP2-City-Test.mmdb")),
        trusted_proxies: trusted_proxies.to_vec(),
    };
    Enricher::new(settings, MemorySalts::default()).unwrap()
}

const FIREFOX: &[u8] = b"Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:133.0) Gecko/20100101 Firefox/133.0";

fn raw<'a>() -> RawClick<'a> {
    RawClick {
        at_ms: 1_795_000_000_000,
        link: 42,
        peer: IpAddr::from([10, 0, 0, 1]),
        user_agent: FIREFOX,
        referer: b"https://www.example.co.uk/page",
        forwarded_for: b"81.2.69.142",
        country: b"",
    }
}

pub(super) fn click_from(peer: &str, forwarded_for: &str, trusted_proxies: &[IpNet]) {
    let raw = RawClick { peer: peer.parse().unwrap(), forwarded_for: forwarded_for.as_bytes(), ..raw() };
    enricher(trusted_proxies).enrich(&raw, LogId(1), 1);
}

#[test]
fn a_click_is_enriched() {
    let mut enricher = enricher(&["10.0.0.0/8".parse().unwrap()]);
    let click = enricher.enrich(&raw(), LogId(7), 640);
    let expected = Click {
        log: LogId(7),
        offset: 640,
        at_ms: 1_795_000_000_000,
        link: 42,
        visitor: click.visitor,
        bot: false,
        place: Place { continent: "EU".into(), country: "GB".into(), region: "GB-ENG".into(), city: "London".into() },
        browser: "Firefox".into(),
        os: "Windows".into(),
        device: "Desktop".into(),
        referer: "example.co.uk".into(),
    };
    assert_eq!(click, expected);
    assert_eq!(enricher.enrich(&raw(), LogId(7), 640), expected, "the same again");

    let elsewhere = RawClick { forwarded_for: b"89.160.20.112", ..raw() };
    assert_ne!(enricher.enrich(&elsewhere, LogId(7), 700).visitor, click.visitor);
    let two_days_later = RawClick { at_ms: raw().at_ms + 2 * 86_400_000, ..raw() };
    assert_ne!(enricher.enrich(&two_days_later, LogId(7), 760).visitor, click.visitor);
    enricher.salts().expire(raw().at_ms);
    assert_ne!(enricher.enrich(&raw(), LogId(7), 820).visitor, click.visitor, "the salt was thrown away");
}

/// Seen to fail when agents were not put into their cache.
#[test]
fn what_was_seen_before_is_remembered_and_shared() {
    let mut enricher = enricher(&["10.0.0.0/8".parse().unwrap()]);
    let counts = counted(|| {
        let clicks = [1, 2, 3].map(|offset| enricher.enrich(&raw(), LogId(1), offset));
        assert!(std::sync::Arc::ptr_eq(&clicks[0].browser, &clicks[2].browser));
        assert!(std::sync::Arc::ptr_eq(&clicks[0].place.city, &clicks[2].place.city));
        assert!(std::sync::Arc::ptr_eq(&clicks[0].referer, &clicks[2].referer));
    });
    for cache in ["agent", "referer", "place"] {
        let line = format!("septet_enrich_cache_misses_total{{cache=\"{cache}\"}} 1");
        assert!(counts.contains(&line), "{counts}");
    }
}

#[test]
fn a_long_user_agent_counts_by_its_beginning() {
    let mut enricher = enricher(&[]);
    let mut long = FIREFOX.to_vec();
    long.resize(MAX_USER_AGENT_BYTES, b' ');
    let expected = enricher.enrich(&RawClick { user_agent: &long, ..raw() }, LogId(1), 1);
    long.extend_from_slice(b"Googlebot/2.1");
    let click = enricher.enrich(&RawClick { user_agent: &long, ..raw() }, LogId(1), 1);
    assert_eq!(click, expected);
}

proptest! {
    #[test]
    fn any_record_becomes_a_click(
        at_ms in any::<i64>(),
        link in any::<u64>(),
        peer in any::<IpAddr>(),
        headers in prop::array::uniform4(prop::collection::vec(any::<u8>(), 0..99)),
    ) {
        let [user_agent, referer, forwarded_for, country] = &headers;
        let raw = RawClick { at_ms, link, peer, user_agent, referer, forwarded_for, country };
        let everyone = ["0.0.0.0/0", "::/0"].map(|net| net.parse().unwrap());
        let mut enricher = enricher(&everyone);
        let click = enricher.enrich(&raw, LogId(3), 9);
        prop_assert_eq!((click.log, click.offset, click.at_ms, click.link), (LogId(3), 9, at_ms, link));
        prop_assert_eq!(enricher.enrich(&raw, LogId(3), 9), click);
    }
}
