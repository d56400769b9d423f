//! How long rows are kept.

use std::time::Duration;

/// The longest time that CQL knows.
pub const KEPT_MAX: Duration = Duration::from_secs(20 * 365 * 86_400);

/// How long each of the three things that a day's row tells is kept after the last click of that day was counted; `None`: for ever, the
/// default. Totals and the progress are kept for ever.
///
/// By `USING TTL`: what is set counts for what is written from then on, and what was written before keeps the time that it had then.
/// The nodes count it by their clocks from the moment of the write; the write's timestamp, which here is a watermark, takes no part
/// in that. What has ended is given back to the disk once the files that hold older states of the same partition are
/// compacted together, as every strategy does in time, except for `TimeWindowCompactionStrategy`: it takes timestamps for
/// times, and must not be set on these tables.
///
/// Where detail ends before its day, the day's sums are written beside it each time: some 120 bytes, as many as the quarter-hours of a link that
/// is clicked in one of them. Otherwise they are only where quarter-hours are many, for questions about whole days.
///
/// A click of a day whose detail has ended is counted on the sum; one of a day whose row has ended begins a new row, which counts from there.
///
/// Up to Cassandra 5.0 in its default `storage_compatibility_mode`, nodes refuse what would end after 2038-01-19.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Retention {
    /// At which quarter-hours of their day clicks were, all of them and those of each value; `None`: as long as the day, which it
    /// cannot outlive. Once that has ended, all of them count at the beginning of the day, in UTC: days of other time zones then are off by
    /// what lies beyond their midnight.
    pub detail: Option<Duration>,
    /// Clicks of a day, all of them and those of each value.
    pub days: Option<Duration>,
    /// Visitors of a day, which take most of a quiet link's row.
    pub visitors: Option<Duration>,
}

/// A time that rows cannot be kept for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RetentionError {
    #[error("rollups can be kept from 1 second to {} days, or for ever; not {given:?}", in_days(KEPT_MAX))]
    OutOfRange { given: Duration },
    #[error(
        "the detail of a day cannot be kept longer than the day: {} days are more than {}",
        in_days(*detail),
        in_days(*days)
    )]
    DetailOutlivesDays { detail: Duration, days: Duration },
}

/// The same as CQL has it: seconds, 0 is for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ttls {
    pub detail_s: i32,
    pub days_s: i32,
    pub visitors_s: i32,
}

impl Retention {
    /// Whether rows can be kept so.
    pub fn check(&self) -> Result<(), RetentionError> {
        self.ttls().map(drop)
    }

    pub(super) fn ttls(&self) -> Result<Ttls, RetentionError> {
        let Retention { detail, days, visitors } = *self;
        if let (Some(detail), Some(days)) = (detail, days)
            && detail > days
        {
            return Err(RetentionError::DetailOutlivesDays { detail, days });
        }
        Ok(Ttls { detail_s: ttl_s(detail.or(days))?, days_s: ttl_s(days)?, visitors_s: ttl_s(visitors)? })
    }
}

fn ttl_s(kept: Option<Duration>) -> Result<i32, RetentionError> {
    let Some(given) = kept else { return Ok(0) };
    match i32::try_from(given.as_secs()) {
        Ok(seconds @ 1..) if given <= KEPT_MAX => Ok(seconds),
        _ => Err(RetentionError::OutOfRange { given }),
    }
}

fn in_days(kept: Duration) -> f64 {
    kept.as_secs_f64() / 86_400.0
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

    /// Seen to fail when detail without a time of its own was for ever, and when it might outlive its day.
    #[test]
    fn detail_lives_as_long_as_its_day_or_ends_before() {
        let day = |days: u64| Duration::from_secs(days * 86_400);
        let ttls = |detail, days| Retention { detail, days, visitors: None }.ttls().map(|ttls| ttls.detail_s);
        assert_eq!(ttls(None, None), Ok(0));
        assert_eq!(ttls(None, Some(day(1))), Ok(86_400));
        assert_eq!(ttls(Some(day(1)), Some(day(1))), Ok(86_400));
        assert_eq!(ttls(Some(day(1)), Some(day(2))), Ok(86_400));
        assert_eq!(ttls(Some(day(1)), None), Ok(86_400));
        let refused = ttls(Some(day(3)), Some(day(2))).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "the detail of a day cannot be kept longer than the day: 3 days are more than 2"
        );
    }
}
