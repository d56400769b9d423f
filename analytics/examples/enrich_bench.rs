//! What enriching costs: the start (patterns compiled), a click whose values were seen before, and one with a new `User-Agent`.
//!
//!     cargo run --release -p septet-analytics --example enrich_bench [FILE.mmdb]

use std::{
    error::Error,
    fs,
    hint::black_box,
    net::IpAddr,
    path::PathBuf,
    time::{Duration, Instant},
};

use analytics::{
    click::LogId,
    click_log::record::RawClick,
    enrich::{EnrichSettings, Enricher, salts::FileSalts},
};

const WARM_CLICKS: u64 = 2_000_000;
const NEW_AGENTS: u64 = 20_000;
const AT_MS: i64 = 1_795_000_000_000;

const AGENTS: &[&str] = &[
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Mobile Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_7_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Mobile/15E148 \
     Safari/604.1",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:133.0) Gecko/20100101 Firefox/133.0",
];
const REFERERS: &[&str] =
    &["", "https://www.google.com/", "https://news.ycombinator.com/item?id=42", "https://t.co/abc"];
const ADDRESSES: &[&str] = &["81.2.69.142", "89.160.20.112", "216.160.83.56", "2001:218::1"];

fn main() -> Result<(), Box<dyn Error>> {
    let test_file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/GeoIP2-City-Test.mmdb");
    let geoip_db = std::env::args_os().nth(1).map_or(test_file, PathBuf::from);
    let folder = tempfile::tempdir()?;

    let settings = EnrichSettings { geoip_db: Some(geoip_db), trusted_proxies: vec!["10.0.0.0/8".parse()?] };
    let salts = FileSalts::open(&folder.path().join("visitor-salts"), AT_MS)?;
    let before_kib = resident_kib();
    let start = Instant::now();
    let mut enricher = Enricher::new(settings, salts)?;
    println!("new: {:?}", start.elapsed());
    let start = Instant::now();
    Enricher::warm_up();
    println!("warm_up: {:?}, {} KiB resident more", start.elapsed(), resident_kib().saturating_sub(before_kib));

    let peer = IpAddr::from([10, 0, 0, 1]);
    let raw = RawClick { at_ms: AT_MS, link: 1, peer, user_agent: b"", referer: b"", forwarded_for: b"", country: b"" };
    let mut pass = |clicks: u64| {
        let start = Instant::now();
        for offset in 0..clicks {
            // Each combination of values in turn.
            let at = |step: u64| (offset / step % 4) as usize;
            let (user_agent, referer, address) = (AGENTS[at(1)], REFERERS[at(4)], ADDRESSES[at(16)]);
            let raw = RawClick {
                user_agent: user_agent.as_bytes(),
                referer: referer.as_bytes(),
                forwarded_for: address.as_bytes(),
                ..raw
            };
            black_box(enricher.enrich(&raw, LogId(1), offset + 1));
        }
        start.elapsed()
    };
    pass(10_000);
    for _ in 0..3 {
        println!("warm: {}", each(pass(WARM_CLICKS), WARM_CLICKS));
    }

    let start = Instant::now();
    for offset in 0..NEW_AGENTS {
        let user_agent = AGENTS[offset as usize % 4].replace("5.0", &format!("5.{offset}"));
        black_box(enricher.enrich(&RawClick { user_agent: user_agent.as_bytes(), ..raw }, LogId(1), offset + 1));
    }
    println!("new User-Agents: {}", each(start.elapsed(), NEW_AGENTS));
    println!("resident in all: {} KiB", resident_kib());
    Ok(())
}

fn each(took: Duration, clicks: u64) -> String {
    format!("{:.0} ns a click", took.as_nanos() as f64 / clicks as f64)
}

/// 0 where there is no `/proc`.
fn resident_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}
