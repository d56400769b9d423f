//! Hours and months of moments, for all moments: before 1970 as well, and beyond any calendar's end.

pub const HOUR_MS: i64 = 60 * 60 * 1000;

const HOURS_PER_DAY: i64 = 24;

/// The hour of a moment, since the Unix epoch. Moments some 245,000 years away share the last hour that there is.
pub fn hour(at_ms: i64) -> i32 {
    let hour = at_ms.div_euclid(HOUR_MS);
    i32::try_from(hour).unwrap_or(if hour < 0 { i32::MIN } else { i32::MAX })
}

/// The month of an hour, since year 0 of the Gregorian calendar, in UTC.
///
/// Howard Hinnant's `civil_from_days` (<https://howardhinnant.github.io/date_algorithms.html>): years begin in March, so that the leap day is a year's
/// last, and repeat after 400.
pub fn month(hour: i32) -> i32 {
    const DAYS_TO_1970: i64 = 719_468;
    const DAYS_IN_400_YEARS: i64 = 146_097;
    let day = i64::from(hour).div_euclid(HOURS_PER_DAY) + DAYS_TO_1970;
    let (era, day_of_era) = (day.div_euclid(DAYS_IN_400_YEARS), day.rem_euclid(DAYS_IN_400_YEARS));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let months_since_march = (5 * day_of_year + 2) / 153;
    let month = (era * 400 + year_of_era) * 12 + 2 + months_since_march;
    i32::try_from(month).expect("there are fewer months than hours")
}

#[cfg(test)]
mod tests {
    use jiff::{Timestamp, tz::TimeZone};
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Against another calendar. Seen to fail when `/` stood for `div_euclid`, and when years began in January.
        #[test]
        fn an_hour_is_in_its_month(seconds in Timestamp::MIN.as_second()..Timestamp::MAX.as_second(), ms in 0..1_000_i64) {
            let date = Timestamp::from_second(seconds).unwrap().to_zoned(TimeZone::UTC);
            let of_date = i32::from(date.year()) * 12 + i32::from(date.month()) - 1;
            prop_assert_eq!(month(hour(seconds * 1_000 + ms)), of_date);
        }

        /// A walk from hour to hour and from month to month meets every moment in order. Seen to fail when hours were cut to 32 bits.
        #[test]
        fn hours_and_months_follow_time(a: i64, b: i64) {
            let (a, b) = (a.min(b), a.max(b));
            prop_assert!(hour(a) <= hour(b));
            prop_assert!(month(hour(a)) <= month(hour(b)));
        }
    }

    #[test]
    fn a_year_ends_with_its_last_millisecond() {
        let new_year = 1_767_225_600_000; // 2026-01-01T00:00:00Z
        assert_eq!(month(hour(new_year)), 2026 * 12);
        assert_eq!(month(hour(new_year - 1)), 2026 * 12 - 1);
        assert_eq!((hour(0), hour(-1)), (0, -1));
        assert_eq!((month(hour(0)), month(hour(-1))), (1970 * 12, 1970 * 12 - 1));
    }
}
