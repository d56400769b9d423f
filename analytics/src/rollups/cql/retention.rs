//! How long rows are kept.

use std::time::Duration;

/// The longest time that CQL knows.
pub const KEPT_MAX: Duration = Duration::from_secs(20 * 365 * 86_400);

/// How long a day's row is kept after the last click of that day was counted; `None`: for ever, the default. Totals and the progress
/// are kept for ever.
///
/// By `USING TTL`: what is set counts for what is written from then on, and what was written before keeps the time that it had then.
/// The nodes count it by their clocks from the moment of the write; the write's timestamp, which here is a watermark, takes no part
/// in that. What has ended is given back to the disk once the files that hold older states of the same partition are
/// compacted together, as every strategy does in time, except for `TimeWindowCompactionStrategy`: it takes timestamps for
/// times, and must not be set on these tables.
///
/// Quarter-hours and days cannot end apart: a day's clicks are its quarter-hours, added up when somebody asks, so keeping them longer
/// than the detail would need a second row for each day. A click of a day whose row has ended begins a new one, which counts from there.
///
/// Up to Cassandra 5.0 in its default `storage_compatibility_mode`, nodes refuse what would end after 2038-01-19.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Retention {
    /// Clicks by quarter-hour, and by value.
    pub days: Option<Duration>,
    /// Visitors, which take most of a quiet link's row.
    pub visitors: Option<Duration>,
}

/// A time that rows cannot be kept for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("rollups can be kept from 1 second to {} days, or for ever; not {given:?}", KEPT_MAX.as_secs() / 86_400)]
pub struct RetentionError {
    given: Duration,
}

/// The same as CQL has it: seconds, 0 is for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ttls {
    pub days_s: i32,
    pub visitors_s: i32,
}

impl Retention {
    pub(super) fn ttls(&self) -> Result<Ttls, RetentionError> {
        Ok(Ttls { days_s: ttl_s(self.days)?, visitors_s: ttl_s(self.visitors)? })
    }
}

fn ttl_s(kept: Option<Duration>) -> Result<i32, RetentionError> {
    let Some(given) = kept else { return Ok(0) };
    match i32::try_from(given.as_secs()) {
        Ok(seconds @ 1..) if given <= KEPT_MAX => Ok(seconds),
        _ => Err(RetentionError { given }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seen to fail when half a second was taken for none, which is for ever.
    #[test]
    fn what_cannot_be_kept_to_is_refused() {
        assert_eq!(ttl_s(None), Ok(0));
        assert_eq!(ttl_s(Some(Duration::from_secs(1))), Ok(1));
        assert_eq!(ttl_s(Some(KEPT_MAX)), Ok(630_720_000));
        for given in [Duration::ZERO, Duration::from_millis(500), KEPT_MAX + Duration::from_secs(1), Duration::MAX] {
            let refused = ttl_s(Some(given)).unwrap_err();
            assert!(refused.to_string().starts_with("rollups can be kept from 1 second to 7300 days"), "{refused}");
        }
    }
}
