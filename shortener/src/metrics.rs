//! The shortener's metrics: every name, what it means, and the one place where each is counted.
//!
//! Labels are outcomes; never a key, a URL or a path. The allocator, the click log and the consumer describe their own.

use std::{convert::Infallible, sync::LazyLock, time::Duration};

use metrics::{
    Counter, Gauge, Histogram, Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
};

use metrics_exporter_prometheus::{BuildError, PrometheusBuilder, PrometheusHandle};

use crate::{clock, redirect::cache::Cache};

const REDIRECTS: &str = "septet_redirects_total";
const STALE: &str = "septet_redirects_stale_total";
const LOADS: &str = "septet_redirect_loads_total";
const LOADS_REFUSED: &str = "septet_redirect_loads_refused_total";
const WRITES: &str = "septet_store_writes_total";
const WRITES_REFUSED: &str = "septet_store_writes_refused_total";
const COMMIT_SECONDS: &str = "septet_store_commit_seconds";
const CACHE_LINKS: &str = "septet_cache_links";
const CACHE_BYTES: &str = "septet_cache_bytes";
const CACHE_BYTES_MAX: &str = "septet_cache_bytes_max";
const CACHE_ABSENT: &str = "septet_cache_absent_keys";
const WRITES_WAITING: &str = "septet_store_writes_waiting";
const WRITES_WAITING_MAX: &str = "septet_store_writes_waiting_max";
const CACHE_ABSENT_MAX: &str = "septet_cache_absent_keys_max";
const CHANGES_HEARD: &str = "septet_changes_heard";
const CHANGES_HEARD_TOTAL: &str = "septet_changes_heard_total";
const CHANGES_TOLD: &str = "septet_changes_told_total";
const CHANGES_UNTOLD: &str = "septet_changes_untold_total";
const CHANGES_BROKEN: &str = "septet_changes_stream_failures_total";
const LINKS_WITHOUT_CLICKS: &str = "septet_links_without_clicks_total";
const QR_REFUSED: &str = "septet_qr_refused_total";
const VISITOR_SALTS_PRIVATE: &str = "septet_visitor_salts_private_total";
const READS_REFUSED: &str = "septet_store_reads_refused_total";
const BODIES_REFUSED: &str = "septet_bodies_refused_total";
const API_SECONDS: &str = "septet_api_request_seconds";
const CONNECTIONS_MAX: &str = "septet_connections_max";
const CONNECTIONS: &str = "septet_connections";
const BUILD: &str = "septet_build_info";

/// Bounds of every histogram, in seconds: from a commit to a fast disk to what nobody should wait for.
const SECONDS: [f64; 13] = [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0];

/// Starts recording; what it returns shows what was recorded.
pub fn start() -> Result<PrometheusHandle, BuildError> {
    let handle = PrometheusBuilder::new().set_buckets(&SECONDS)?.install_recorder()?;
    describe();
    Ok(handle)
}

/// Keeps what is recorded from piling up between scrapes. Never ends.
pub async fn upkeep(handle: &PrometheusHandle) -> Infallible {
    loop {
        tokio::time::sleep(UPKEEP_INTERVAL).await;
        handle.run_upkeep();
    }
}

const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);

fn describe() {
    describe_counter!(REDIRECTS, "Requests for keys, by outcome: found, expired, absent, unavailable");
    describe_counter!(
        LINKS_WITHOUT_CLICKS,
        "Links answered as if nobody had clicked them, as analytics did not answer in time"
    );
    describe_counter!(STALE, "Redirects answered from the cache past its time, as the link store did not answer");
    describe_counter!(LOADS, "Reads of the link store for redirects");
    describe_counter!(LOADS_REFUSED, "Redirects answered 503 as too many reads of the link store were under way");
    describe_counter!(WRITES, "Writes that the link store committed or tried to");
    describe_counter!(WRITES_REFUSED, "Writes refused as too many were waiting");
    describe_histogram!(
        COMMIT_SECONDS,
        Unit::Seconds,
        "Time of one commit of the link store, of all writes that waited"
    );
    describe_gauge!(CACHE_LINKS, "Links in the cache");
    describe_gauge!(CACHE_BYTES, Unit::Bytes, "Memory that cached links take");
    describe_gauge!(CACHE_BYTES_MAX, Unit::Bytes, "Memory that cached links may take; beyond it the least used go");
    describe_gauge!(CACHE_ABSENT, "Keys of which it is remembered that they lead nowhere");
    describe_gauge!(WRITES_WAITING, "Writes that wait for the next transaction of the link store");
    describe_gauge!(WRITES_WAITING_MAX, "Writes that may wait; one more is refused, and answered 503");
    describe_gauge!(
        CHANGES_HEARD,
        "1 while changes of other instances are heard; else links are believed for two seconds"
    );
    describe_counter!(CHANGES_HEARD_TOTAL, "Changes of links that instances told, this one among them");
    describe_counter!(CHANGES_TOLD, "Changes of links that were to be told to other instances");
    describe_counter!(
        CHANGES_UNTOLD,
        "Changes that could not be told; others see them when their cache has had its time"
    );
    describe_counter!(CHANGES_BROKEN, "Times that the stream of changes broke off and was begun anew");
    describe_gauge!(CACHE_ABSENT_MAX, "Keys of which it may be remembered that they lead nowhere");
    describe_counter!(
        VISITOR_SALTS_PRIVATE,
        "Periods whose visitor salt was not agreed on in time: visitors of several instances may count more than once"
    );
    describe_counter!(QR_REFUSED, "QR codes refused with 503 as too many were being made");
    describe_counter!(READS_REFUSED, "Reads of the link store refused as none of its connections came free in time");
    describe_counter!(BODIES_REFUSED, "Requests refused for their body, by reason: too_large, too_slow");
    describe_histogram!(API_SECONDS, Unit::Seconds, "Time of a request to the API, by route and status");
    describe_gauge!(CONNECTIONS_MAX, "Connections that may be open; more wait to be accepted");
    describe_gauge!(CONNECTIONS, "Open connections of the public port");
    describe_gauge!(BUILD, "1, labelled with the version");
    // An alert on a rate needs the counter to be there before it first counts.
    for counter in [&*FOUND, &*EXPIRED, &*ABSENT, &*UNAVAILABLE] {
        counter.increment(0);
    }
    for name in [STALE, LOADS, LOADS_REFUSED, WRITES_REFUSED, READS_REFUSED, QR_REFUSED, VISITOR_SALTS_PRIVATE] {
        counter!(name).increment(0);
    }
    gauge!(BUILD, "version" => env!("CARGO_PKG_VERSION")).set(1);
}

// Handles for what is counted with every request: a look into the registry would cost more than the counting.
static FOUND: LazyLock<Counter> = LazyLock::new(|| counter!(REDIRECTS, "outcome" => "found"));
static EXPIRED: LazyLock<Counter> = LazyLock::new(|| counter!(REDIRECTS, "outcome" => "expired"));
static ABSENT: LazyLock<Counter> = LazyLock::new(|| counter!(REDIRECTS, "outcome" => "absent"));
static UNAVAILABLE: LazyLock<Counter> = LazyLock::new(|| counter!(REDIRECTS, "outcome" => "unavailable"));
static WRITTEN: LazyLock<Counter> = LazyLock::new(|| counter!(WRITES));
static CONNECTED: LazyLock<Gauge> = LazyLock::new(|| gauge!(CONNECTIONS));
static COMMITTED: LazyLock<Histogram> = LazyLock::new(|| histogram!(COMMIT_SECONDS));

pub fn redirect_found() {
    FOUND.increment(1);
}

pub fn redirect_expired() {
    EXPIRED.increment(1);
}

pub fn redirect_absent() {
    ABSENT.increment(1);
}

pub fn redirect_unavailable() {
    UNAVAILABLE.increment(1);
}

/// Changes that are to be told.
pub fn changes_told() -> Counter {
    counter!(CHANGES_TOLD)
}

/// Changes that could not be told.
pub fn changes_untold() -> Counter {
    counter!(CHANGES_UNTOLD)
}

pub fn change_heard() {
    counter!(CHANGES_HEARD_TOTAL).increment(1);
}

pub fn changes_stream_broken() {
    counter!(CHANGES_BROKEN).increment(1);
}

pub fn redirect_stale() {
    counter!(STALE).increment(1);
}

pub fn redirect_load() {
    counter!(LOADS).increment(1);
}

pub fn redirect_overloaded() {
    counter!(LOADS_REFUSED).increment(1);
}

pub fn store_refused() {
    counter!(WRITES_REFUSED).increment(1);
}

pub fn store_waiting(waiting: usize, max: usize) {
    gauge!(WRITES_WAITING).set(waiting as f64);
    gauge!(WRITES_WAITING_MAX).set(max as f64);
}

pub fn store_read_refused() {
    counter!(READS_REFUSED).increment(1);
}

pub fn body_refused(reason: &'static str) {
    counter!(BODIES_REFUSED, "reason" => reason).increment(1);
}

pub fn links_without_clicks(links: usize) {
    counter!(LINKS_WITHOUT_CLICKS).increment(links as u64);
}

pub fn visitor_salt_private() {
    counter!(VISITOR_SALTS_PRIVATE).increment(1);
}

pub fn qr_refused() {
    counter!(QR_REFUSED).increment(1);
}

/// `route` is the pattern that matched, never a path.
pub fn api_request(route: String, status: u16, took: Duration) {
    histogram!(API_SECONDS, "route" => route, "status" => status.to_string()).record(took);
}

pub fn connections_max(max: usize) {
    gauge!(CONNECTIONS_MAX).set(max as f64);
}

pub fn store_commit(writes: usize, took: Duration) {
    WRITTEN.increment(writes as u64);
    COMMITTED.record(took);
}

/// An open connection, counted until it is dropped.
pub struct Connection(());

impl Connection {
    pub fn open() -> Self {
        CONNECTED.increment(1);
        Connection(())
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        CONNECTED.decrement(1);
    }
}

/// Shows how full the cache is, at the moment of a scrape.
pub fn show_cache(cache: &Cache) {
    let size = cache.size();
    gauge!(CACHE_LINKS).set(size.links as f64);
    gauge!(CACHE_BYTES).set(size.bytes as f64);
    gauge!(CACHE_BYTES_MAX).set(size.bytes_max as f64);
    gauge!(CACHE_ABSENT).set(size.absent as f64);
    gauge!(CACHE_ABSENT_MAX).set(size.absent_max as f64);
    if let Some(is_heard) = cache.is_heard(clock::uptime_ms()) {
        gauge!(CHANGES_HEARD).set(u8::from(is_heard));
    }
}
