//! What enriching counts. Recorded where it happens.

use metrics::describe_counter;

pub(super) fn describe() {
    describe_counter!("septet_enrich_cache_misses_total", "Things worked out as they were not remembered, by cache");
    describe_counter!("septet_enrich_forwarded_for_malformed_total", "Lists of proxies not followed to their end");
    describe_counter!("septet_enrich_geoip_failures_total", "Addresses for which the file of places is broken");
    describe_counter!(
        "septet_visitor_salt_failures_total",
        "Failures to read or write the file of salts, by operation"
    );
}
