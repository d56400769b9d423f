//! The time that a person asks about: an interval or a start and an end, in a time zone, into a span and its steps. Pure.
//!
//! - `24h`: the current hour and the 23 before it, by hour.
//! - `7d`, `30d`, `90d`: today and the days before it, by day; `mtd`, `qtd`: from the first of the month or quarter through today, by day.
//! - `1y`: the current month and the eleven before it, by month; `ytd`: from January through the current month, by month;
//!   `all`: from the month of the first click through the current month, by month.
//! - A start and an end, widened to quarter-hours: up to two days by hour, more than 180 days by month, else by day. The first and
//!   the last step are cut off where the time asked for begins and ends.
//!
//! All of it by the zone's own clock and calendar, so steps have the length that hours, days and months have there. The
//! span is what its steps cover: what is counted in it is the sum of what is counted in them. An hour is a stretch in which the local
//! clock shows one hour under one offset from UTC: of two hours of the same name each is a step, and where a clock is moved by half an
//! hour, a step of half an hour comes about.

use std::{fmt, ops::Range, str::FromStr};

use jiff::{
    SignedDuration, Timestamp, ToSpan, Zoned,
    civil::{Date, DateTime},
    tz::TimeZone,
};

/// The most steps that are answered. More is [`TimelineError::TooManySteps`].
pub const STEPS_MAX: usize = 1_000;

/// Up to this many days of a start and an end are shown by hour.
const HOURLY_DAYS_MAX: i64 = 2;

/// Beyond this many days of a start and an end they are shown by month.
const DAILY_DAYS_MAX: i64 = 180;

/// The finest time that is counted, in seconds.
const QUARTER_S: i64 = 15 * 60;

/// Why there is no timeline. Each is a sentence for the person who asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TimelineError {
    #[error("unknown interval '{0}': one of 24h, 7d, 30d, 90d, 1y, mtd, qtd, ytd, all")]
    UnknownInterval(String),
    #[error("unknown time zone '{0}': an IANA name such as Europe/Berlin, or UTC")]
    UnknownZone(String),
    #[error("'{0}' is not a time: RFC 3339 such as 2026-11-20T08:00:00Z, or a date such as 2026-11-20")]
    UnknownTime(String),
    #[error("the start lies after the end")]
    StartAfterEnd,
    #[error("the time asked for has more than {STEPS_MAX} {0}s; ask for less of it")]
    TooManySteps(Step),
    #[error("the time asked for lies beyond the calendar (years -9999 to 9999)")]
    BeyondCalendar,
}

/// An interval that has a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interval {
    Hours24,
    Days7,
    Days30,
    Days90,
    Year,
    MonthToDate,
    QuarterToDate,
    YearToDate,
    All,
}

impl FromStr for Interval {
    type Err = TimelineError;

    fn from_str(text: &str) -> Result<Interval, TimelineError> {
        Ok(match text {
            "24h" => Interval::Hours24,
            "7d" => Interval::Days7,
            "30d" => Interval::Days30,
            "90d" => Interval::Days90,
            "1y" => Interval::Year,
            "mtd" => Interval::MonthToDate,
            "qtd" => Interval::QuarterToDate,
            "ytd" => Interval::YearToDate,
            "all" => Interval::All,
            _ => return Err(TimelineError::UnknownInterval(text.to_owned())),
        })
    }
}

/// A time zone of the IANA database, which comes with the program where the system has none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Zone(TimeZone);

impl Zone {
    pub const UTC: Zone = Zone(TimeZone::UTC);

    /// A time in Unix milliseconds as the zone's clock shows it, in RFC 3339: `2026-11-20T00:00:00.000+01:00`.
    pub fn rfc3339(&self, at_ms: i64) -> Result<String, TimelineError> {
        Ok(self.at(at_ms)?.strftime("%Y-%m-%dT%H:%M:%S%.3f%:z").to_string())
    }

    fn at(&self, at_ms: i64) -> Result<Zoned, TimelineError> {
        Ok(Timestamp::from_millisecond(at_ms).map_err(beyond)?.to_zoned(self.0.clone()))
    }
}

impl FromStr for Zone {
    type Err = TimelineError;

    fn from_str(name: &str) -> Result<Zone, TimelineError> {
        TimeZone::get(name).map(Zone).map_err(|_| TimelineError::UnknownZone(name.to_owned()))
    }
}

/// A start or an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// To the instant.
    Instant(Timestamp),
    /// A whole day in the zone: as a start its beginning, as an end its end.
    Day(Date),
}

impl FromStr for Moment {
    type Err = TimelineError;

    fn from_str(text: &str) -> Result<Moment, TimelineError> {
        // The only form without a time of day has ten characters; jiff would read a day out of longer forms too.
        let moment = match text.len() {
            10 => text.parse().map(Moment::Day),
            _ => text.parse().map(Moment::Instant),
        };
        moment.map_err(|_| TimelineError::UnknownTime(text.to_owned()))
    }
}

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    Interval(Interval),
    /// Without an end: until now.
    Between {
        start: Moment,
        end: Option<Moment>,
    },
}

/// How long a step is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    Hour,
    Day,
    Month,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Step::Hour => "hour",
            Step::Day => "day",
            Step::Month => "month",
        })
    }
}

/// A span of time and its steps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timeline {
    pub step: Step,
    /// In order, each beginning where the one before ends, in Unix milliseconds on whole quarter-hours. None is empty; there are at most
    /// [`STEPS_MAX`], and none only if the start asked for is its end.
    pub steps_ms: Vec<Range<i64>>,
    /// What the steps cover.
    pub span_ms: Range<i64>,
}

impl Timeline {
    /// The timeline of what is asked for at `now_ms`. `first_click_ms` tells where [`Interval::All`] begins: the current
    /// month, if there was no click; other questions do not need it. Times are in Unix milliseconds.
    pub fn new(
        asked: &Asked,
        zone: &Zone,
        now_ms: i64,
        first_click_ms: Option<i64>,
    ) -> Result<Timeline, TimelineError> {
        let stretch = Stretch::new(asked, zone, now_ms, first_click_ms)?;
        let bounds_s = stretch.bounds_s(zone)?;
        let steps_ms = bounds_s.windows(2).map(|pair| pair[0] * 1_000..pair[1] * 1_000).collect();
        Ok(Timeline { step: stretch.step, steps_ms, span_ms: stretch.span_ms() })
    }

    /// The span alone, for a question without steps: however many there would be.
    pub fn span_of(
        asked: &Asked,
        zone: &Zone,
        now_ms: i64,
        first_click_ms: Option<i64>,
    ) -> Result<Range<i64>, TimelineError> {
        Ok(Stretch::new(asked, zone, now_ms, first_click_ms)?.span_ms())
    }
}

/// A span, and how it is to be divided. It begins and ends on whole quarter-hours, in Unix seconds.
struct Stretch {
    step: Step,
    start_s: i64,
    end_s: i64,
}

impl Stretch {
    fn new(asked: &Asked, zone: &Zone, now_ms: i64, first_click_ms: Option<i64>) -> Result<Stretch, TimelineError> {
        let now = zone.at(now_ms)?;
        match asked {
            Asked::Interval(interval) => named(*interval, zone, &now, first_click_ms),
            Asked::Between { start, end } => between(zone, &now, *start, *end),
        }
    }

    fn span_ms(&self) -> Range<i64> {
        self.start_s * 1_000..self.end_s * 1_000
    }

    /// Where the steps begin, and where the last one ends.
    fn bounds_s(&self, zone: &Zone) -> Result<Vec<i64>, TimelineError> {
        match self.step {
            Step::Hour => hour_bounds_s(zone, self.start_s, self.end_s),
            step => calendar_bounds_s(zone, step, self.start_s, self.end_s),
        }
    }
}

fn named(interval: Interval, zone: &Zone, now: &Zoned, first_click_ms: Option<i64>) -> Result<Stretch, TimelineError> {
    let today = now.date();
    let month = today.first_of_month();
    let back = |days: i64| today.checked_sub(days.days()).map_err(beyond);
    let (step, first) = match interval {
        Interval::Hours24 => return last_hours(zone, now, 24),
        Interval::Days7 => (Step::Day, back(6)?),
        Interval::Days30 => (Step::Day, back(29)?),
        Interval::Days90 => (Step::Day, back(89)?),
        Interval::MonthToDate => (Step::Day, month),
        Interval::QuarterToDate => {
            (Step::Day, month.checked_sub(i64::from((month.month() - 1) % 3).months()).map_err(beyond)?)
        }
        Interval::Year => (Step::Month, month.checked_sub(11.months()).map_err(beyond)?),
        Interval::YearToDate => (Step::Month, month.first_of_year()),
        Interval::All => {
            let first = first_click_ms.map(|at_ms| zone.at(at_ms)).transpose()?;
            // A click of an instance whose clock is ahead may lie after now.
            (Step::Month, first.map_or(month, |at| at.date().first_of_month().min(month)))
        }
    };
    let end = match step {
        Step::Month => after(step, month)?,
        _ => after(step, today)?,
    };
    let (start_s, end_s) = (midnight_s(zone, first)?, midnight_s(zone, end)?);
    Ok(Stretch { step, start_s, end_s })
}

fn last_hours(zone: &Zone, now: &Zoned, hours: usize) -> Result<Stretch, TimelineError> {
    let now_s = floor_s(now.timestamp());
    let (mut start_s, mut begun) = (now_s, usize::from(begins_hour(zone, now_s)?));
    while begun < hours {
        start_s -= QUARTER_S;
        begun += usize::from(begins_hour(zone, start_s)?);
    }
    Ok(Stretch { step: Step::Hour, start_s, end_s: next_hour_s(zone, now_s)? })
}

fn between(zone: &Zone, now: &Zoned, start: Moment, end: Option<Moment>) -> Result<Stretch, TimelineError> {
    let start_s = match start {
        Moment::Instant(at) => floor_s(at),
        Moment::Day(date) => midnight_s(zone, date)?,
    };
    let end_s = match end {
        Some(Moment::Instant(at)) => ceil_s(at),
        Some(Moment::Day(date)) => midnight_s(zone, after(Step::Day, date)?)?,
        None => ceil_s(now.timestamp()),
    };
    // Told apart before widening: a start a second after the end is a mistake, though both lie in one quarter-hour.
    let reversed = match (start, end) {
        (Moment::Instant(start), Some(Moment::Instant(end))) => start > end,
        (Moment::Day(start), Some(Moment::Day(end))) => start > end,
        _ => false,
    };
    if reversed || start_s > end_s {
        return Err(TimelineError::StartAfterEnd);
    }
    let from = local(zone, start_s)?;
    let within = |days: i64| Ok(local(zone, end_s)? <= from.checked_add(days.days()).map_err(beyond)?);
    let step = if within(HOURLY_DAYS_MAX)? {
        Step::Hour
    } else if within(DAILY_DAYS_MAX)? {
        Step::Day
    } else {
        Step::Month
    };
    Ok(Stretch { step, start_s, end_s })
}

/// `start_s`, the hours that begin before `end_s`, and `end_s`.
fn hour_bounds_s(zone: &Zone, start_s: i64, end_s: i64) -> Result<Vec<i64>, TimelineError> {
    let mut bounds = vec![start_s];
    let mut at = start_s;
    while at < end_s {
        at = next_hour_s(zone, at)?.min(end_s);
        push(&mut bounds, at, Step::Hour)?;
    }
    Ok(bounds)
}

/// `start_s`, the days or months that begin before `end_s`, and `end_s`.
fn calendar_bounds_s(zone: &Zone, step: Step, start_s: i64, end_s: i64) -> Result<Vec<i64>, TimelineError> {
    let mut date = local(zone, start_s)?.date();
    if step == Step::Month {
        date = date.first_of_month();
    }
    let mut bounds = vec![start_s];
    let mut at = start_s;
    while at < end_s {
        date = after(step, date)?;
        let begins = midnight_s(zone, date)?.min(end_s);
        // A day that a zone skipped, as Samoa did when it crossed the date line, begins where the next one does.
        if begins > at {
            push(&mut bounds, begins, step)?;
            at = begins;
        }
    }
    Ok(bounds)
}

fn push(bounds: &mut Vec<i64>, at: i64, step: Step) -> Result<(), TimelineError> {
    if bounds.len() > STEPS_MAX {
        return Err(TimelineError::TooManySteps(step));
    }
    bounds.push(at);
    Ok(())
}

/// The day after a day, the first of the month after a month.
fn after(step: Step, date: Date) -> Result<Date, TimelineError> {
    match step {
        Step::Month => date.first_of_month().checked_add(1.month()),
        _ => date.checked_add(1.day()),
    }
    .map_err(beyond)
}

/// When a date begins in the zone, on a whole quarter-hour, in Unix seconds.
fn midnight_s(zone: &Zone, date: Date) -> Result<i64, TimelineError> {
    // Where there is no midnight, because the clock was moved over it, this is the first instant after the gap.
    Ok(floor_s(zone.0.to_zoned(date.at(12, 0, 0, 0)).and_then(|noon| noon.start_of_day()).map_err(beyond)?.timestamp()))
}

/// The first quarter-hour after `at_s` that begins an hour.
fn next_hour_s(zone: &Zone, at_s: i64) -> Result<i64, TimelineError> {
    let mut at = at_s + QUARTER_S;
    while !begins_hour(zone, at)? {
        at += QUARTER_S;
    }
    Ok(at)
}

/// Whether the local clock, or its offset, comes to another hour at this quarter-hour.
fn begins_hour(zone: &Zone, at_s: i64) -> Result<bool, TimelineError> {
    let hour = |at_s: i64| -> Result<_, TimelineError> {
        let at = timestamp(at_s)?;
        let offset = zone.0.to_offset(at);
        Ok((offset, offset.to_datetime(at).date(), offset.to_datetime(at).hour()))
    };
    Ok(hour(at_s)? != hour(at_s - QUARTER_S)?)
}

fn local(zone: &Zone, at_s: i64) -> Result<DateTime, TimelineError> {
    Ok(zone.0.to_datetime(timestamp(at_s)?))
}

fn timestamp(at_s: i64) -> Result<Timestamp, TimelineError> {
    Timestamp::from_second(at_s).map_err(beyond)
}

/// The quarter-hour in which an instant lies, in Unix seconds.
fn floor_s(at: Timestamp) -> i64 {
    // Seconds are rounded towards zero; down is what is wanted before 1970 as well.
    let down = i64::from(at.subsec_nanosecond() < 0);
    (at.as_second() - down).div_euclid(QUARTER_S) * QUARTER_S
}

fn ceil_s(at: Timestamp) -> i64 {
    let floor = floor_s(at);
    let past = at.duration_since(Timestamp::UNIX_EPOCH) > SignedDuration::from_secs(floor);
    if past { floor + QUARTER_S } else { floor }
}

fn beyond(_: jiff::Error) -> TimelineError {
    TimelineError::BeyondCalendar
}

#[cfg(test)]
mod tests;
