//! What the click log counts. The handles are made once, when the folder is opened: install the recorder before.

use metrics::{Counter, Gauge, counter, describe_counter, describe_gauge, gauge};

pub struct Metrics {
    pub dropped_log_full: Counter,
    pub truncated_fields: Counter,
    pub stalls: Counter,
    pub prepare_failures: Counter,
    pub flushes: Counter,
    pub flush_failures: Counter,
    pub torn: Counter,
    pub read_failures: Counter,
    pub disk_bytes: Gauge,
    pub disk_bytes_max: Gauge,
}

impl Metrics {
    pub fn register() -> Self {
        describe_counter!("septet_clicks_dropped_total", "Clicks that were answered and not counted");
        describe_counter!("septet_click_log_truncated_fields_total", "Headers of clicks that were cut");
        describe_counter!("septet_click_log_stalls_total", "Segments that a writer had to prepare itself");
        describe_counter!("septet_click_log_prepare_failures_total", "Segments that the disk refused");
        describe_counter!("septet_click_log_flushes_total", "Flushes of a segment to disk");
        describe_counter!("septet_click_log_flush_failures_total", "Flushes that failed");
        describe_counter!("septet_click_log_torn_total", "Segments that end in a broken record, or that are missing");
        describe_counter!("septet_click_log_read_failures_total", "Failures to read or delete a segment of an old log");
        describe_gauge!("septet_click_log_disk_bytes", "Bytes that the files of the click log take");
        describe_gauge!("septet_click_log_disk_bytes_max", "Bytes that they may take; beyond it clicks are dropped");
        Self {
            dropped_log_full: counter!("septet_clicks_dropped_total", "reason" => "log_full"),
            truncated_fields: counter!("septet_click_log_truncated_fields_total"),
            stalls: counter!("septet_click_log_stalls_total"),
            prepare_failures: counter!("septet_click_log_prepare_failures_total"),
            flushes: counter!("septet_click_log_flushes_total"),
            flush_failures: counter!("septet_click_log_flush_failures_total"),
            torn: counter!("septet_click_log_torn_total"),
            read_failures: counter!("septet_click_log_read_failures_total"),
            disk_bytes: gauge!("septet_click_log_disk_bytes"),
            disk_bytes_max: gauge!("septet_click_log_disk_bytes_max"),
        }
    }
}
