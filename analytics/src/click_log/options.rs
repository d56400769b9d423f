//! Settings of the click log.

use std::time::Duration;

use super::Error;

/// The smallest segment: holds the header and the longest record.
pub const SEGMENT_MIN_BYTES: u64 = 4096;
/// The largest segment: an old one is read into memory whole.
pub const SEGMENT_MAX_BYTES: u64 = 1 << 30;

/// Settings of the click log.
#[derive(Debug, Clone)]
pub struct Options {
    /// Length of a segment file: a multiple of 4,096, from 4 KiB to 1 GiB.
    pub segment_bytes: u64,
    /// What all files in the folder may take, of old logs and new ones; at least two segments for each writer.
    pub disk_max_bytes: u64,
    /// How often what was appended is flushed to disk: what a power failure can cost.
    pub flush_interval: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self { segment_bytes: 16 << 20, disk_max_bytes: 1 << 30, flush_interval: Duration::from_secs(1) }
    }
}

impl Options {
    pub(super) fn check(&self) -> Result<(), Error> {
        let segment = self.segment_bytes;
        if !(SEGMENT_MIN_BYTES..=SEGMENT_MAX_BYTES).contains(&segment) || !segment.is_multiple_of(SEGMENT_MIN_BYTES) {
            return Err(Error::Options(format!(
                "segment_bytes is {segment}, and must be a multiple of {SEGMENT_MIN_BYTES} up to {SEGMENT_MAX_BYTES}"
            )));
        }
        if self.disk_max_bytes < 2 * segment {
            return Err(Error::Options(format!(
                "disk_max_bytes is {}, and must hold two segments of {segment} bytes",
                self.disk_max_bytes
            )));
        }
        if self.flush_interval.is_zero() {
            return Err(Error::Options("flush_interval must be greater than zero".to_owned()));
        }
        Ok(())
    }
}
