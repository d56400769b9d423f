use proptest::prelude::*;

use super::*;

/// Zones of odd habits: quarter-hour offsets, half-hour and midnight changes, a skipped day, both hemispheres.
const ZONES: [&str; 14] = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "America/St_Johns",
    "America/Havana",
    "America/Sao_Paulo",
    "Asia/Kolkata",
    "Asia/Kathmandu",
    "Asia/Beirut",
    "Australia/Lord_Howe",
    "Pacific/Chatham",
    "Pacific/Apia",
    "Pacific/Kiritimati",
    "Africa/Casablanca",
];

fn zone(name: &str) -> Zone {
    name.parse().unwrap()
}

fn ms(time: &str) -> i64 {
    time.parse::<Timestamp>().unwrap().as_millisecond()
}

fn interval(name: &str, zone_name: &str, now: &str) -> Timeline {
    Timeline::new(&Asked::Interval(name.parse().unwrap()), &zone(zone_name), ms(now), None).unwrap()
}

fn custom(start: &str, end: &str, zone_name: &str) -> Result<Timeline, TimelineError> {
    let asked = Asked::Between { start: start.parse()?, end: Some(end.parse()?) };
    Timeline::new(&asked, &zone(zone_name), ms("2026-11-20T12:00:00Z"), None)
}

fn span(start: &str, end: &str, zone_name: &str) -> Result<Range<i64>, TimelineError> {
    let asked = Asked::Between { start: start.parse()?, end: Some(end.parse()?) };
    Timeline::span_of(&asked, &zone(zone_name), ms("2026-11-20T12:00:00Z"), None)
}

fn starts(timeline: &Timeline, zone_name: &str) -> Vec<String> {
    timeline.steps_ms.iter().map(|step| zone(zone_name).rfc3339(step.start).unwrap().replace(":00.000", "")).collect()
}

fn hours(timeline: &Timeline) -> Vec<f64> {
    timeline.steps_ms.iter().map(|step| (step.end - step.start) as f64 / 3_600_000.0).collect()
}

fn holds_together(timeline: &Timeline) {
    let steps = &timeline.steps_ms;
    assert!(steps.len() <= STEPS_MAX);
    assert!(steps.iter().all(|step| step.start < step.end), "no step is empty");
    assert!(steps.windows(2).all(|pair| pair[0].end == pair[1].start), "no gap, no overlap");
    assert!(steps.iter().all(|step| step.start % 900_000 == 0 && step.end % 900_000 == 0), "whole quarter-hours");
    if let (Some(first), Some(last)) = (steps.first(), steps.last()) {
        assert_eq!(first.start..last.end, timeline.span_ms);
    } else {
        assert!(timeline.span_ms.is_empty());
    }
}

fn any_zone() -> impl Strategy<Value = &'static str> {
    prop::sample::select(&ZONES[..])
}

/// From 1970 to 2050.
fn any_ms() -> impl Strategy<Value = i64> {
    0..2_524_608_000_000_i64
}

/// From 1981 on: by then the last zone had an offset of whole quarter-hours for 90 days and a year back.
fn any_quartered_ms() -> impl Strategy<Value = i64> {
    347_155_200_000..2_524_608_000_000_i64
}

proptest! {
    // Seen to fail when a month begins 30 days after the one before.
    #[test]
    fn intervals_hold_together_and_have_their_steps(name in any_zone(), now_ms in any_ms(), first_ms in any_ms()) {
        let zone = zone(name);
        let plan = |interval| Timeline::new(&Asked::Interval(interval), &zone, now_ms, Some(first_ms)).unwrap();
        let steps = [(Interval::Hours24, 24), (Interval::Days7, 7), (Interval::Days30, 30), (Interval::Days90, 90), (Interval::Year, 12)];
        for (interval, expected) in steps {
            let timeline = plan(interval);
            holds_together(&timeline);
            // Both crossed the date line, and skipped a day.
            let crossed = ["Pacific/Apia", "Pacific/Kiritimati"].contains(&name);
            let skipped = usize::from(crossed && timeline.steps_ms.len() + 1 == expected);
            prop_assert_eq!(timeline.steps_ms.len() + skipped, expected, "{:?}", interval);
        }
        use Interval::*;
        for interval in [Hours24, Days7, Days30, Days90, Year, MonthToDate, QuarterToDate, YearToDate, All] {
            let timeline = plan(interval);
            holds_together(&timeline);
            let span_ms = Timeline::span_of(&Asked::Interval(interval), &zone, now_ms, Some(first_ms));
            prop_assert_eq!(span_ms.as_ref(), Ok(&timeline.span_ms));
            prop_assert!(timeline.steps_ms.last().unwrap().contains(&now_ms), "now is in the last step of {:?}", interval);
            if interval == All && first_ms <= now_ms {
                prop_assert!(timeline.steps_ms[0].contains(&first_ms));
            }
        }
    }

    // The bounds lie exactly where the local clock shows them. Seen to fail when days are 24 hours long.
    #[test]
    fn steps_begin_at_their_local_time(name in any_zone(), now_ms in any_quartered_ms()) {
        let zone = zone(name);
        let plan = |interval| Timeline::new(&Asked::Interval(interval), &zone, now_ms, None).unwrap();
        for step in plan(Interval::Days90).steps_ms {
            // The quarter-hour before is another date, and the quarter-hour after is this date or the rest of a gap.
            let (before, at) = (zone.at(step.start - 900_000).unwrap(), zone.at(step.start).unwrap());
            prop_assert!(before.date() < at.date() || before.offset() != at.offset(), "{}", at);
            let last = zone.at(step.end - 900_000).unwrap();
            prop_assert!(last.date() == at.date() || at.date() < last.date() && at.offset() != last.offset(), "{}", at);
        }
        for step in plan(Interval::Year).steps_ms {
            prop_assert_eq!(zone.at(step.start).unwrap().date().day(), 1);
        }
        for step in plan(Interval::Hours24).steps_ms {
            prop_assert!(step.end - step.start <= 3_600_000);
        }
    }

    // Seen to fail when bounds are not cut to quarter-hours.
    #[test]
    fn a_custom_time_holds_together_and_covers_what_was_asked(name in any_zone(), start_ms in any_ms(), minutes in 0..600_000_i64) {
        let at = |at_ms| Timestamp::from_millisecond(at_ms).unwrap();
        let end_ms = start_ms + minutes * 60_000;
        let asked = Asked::Between { start: Moment::Instant(at(start_ms)), end: Some(Moment::Instant(at(end_ms))) };
        let timeline = Timeline::new(&asked, &zone(name), 0, None).unwrap();
        holds_together(&timeline);
        prop_assert!(timeline.span_ms.start <= start_ms && start_ms - timeline.span_ms.start < 900_000);
        prop_assert!(timeline.span_ms.end >= end_ms && timeline.span_ms.end - end_ms < 900_000);
    }

    #[test]
    fn any_text_is_read_or_refused(text in "\\PC*") {
        let _ = (text.parse::<Moment>(), text.parse::<Zone>(), text.parse::<Interval>());
    }
}

#[test]
fn a_day_of_a_clock_change_has_23_or_25_hours() {
    let spring = interval("7d", "Europe/Berlin", "2026-04-01T12:00:00Z");
    assert_eq!(hours(&spring), [24.0, 24.0, 24.0, 23.0, 24.0, 24.0, 24.0]);
    let autumn = custom("2026-10-25", "2026-10-25", "Europe/Berlin").unwrap();
    assert_eq!((autumn.step, autumn.steps_ms.len()), (Step::Hour, 25));
    assert_eq!(starts(&autumn, "Europe/Berlin")[2..4], ["2026-10-25T02:00+02:00", "2026-10-25T02:00+01:00"]);
}

// Two days by the calendar, one of which is long, are still by hour.
#[test]
fn two_days_with_a_clock_change_are_shown_by_hour() {
    let timeline = custom("2026-10-24", "2026-10-25", "Europe/Berlin").unwrap();
    assert_eq!((timeline.step, timeline.steps_ms.len()), (Step::Hour, 49));
}

// Lord Howe Island moves its clock by half an hour: at 2:00 on 2026-04-05 back to 1:30, at 2:00 on 2026-10-04 on to 2:30.
#[test]
fn a_clock_moved_by_half_an_hour_makes_a_half_hour_step() {
    let back = custom("2026-04-05", "2026-04-05", "Australia/Lord_Howe").unwrap();
    assert_eq!(hours(&back)[..4], [1.0, 1.0, 0.5, 1.0]);
    assert_eq!(hours(&back).iter().sum::<f64>(), 24.5);
    let forward = custom("2026-10-04", "2026-10-04", "Australia/Lord_Howe").unwrap();
    assert_eq!(hours(&forward)[..4], [1.0, 1.0, 0.5, 1.0]);
    assert_eq!(hours(&forward).iter().sum::<f64>(), 23.5);
}

#[test]
fn quarter_hour_offsets_begin_their_hours_and_days_on_quarters() {
    let nepal = interval("24h", "Asia/Kathmandu", "2026-11-20T12:00:00Z");
    assert_eq!(nepal.span_ms, ms("2026-11-19T12:15:00Z")..ms("2026-11-20T12:15:00Z"));
    let chatham = interval("7d", "Pacific/Chatham", "2026-06-20T12:00:00Z");
    assert_eq!(starts(&chatham, "Pacific/Chatham")[6], "2026-06-21T00:00+12:45");
    assert_eq!(chatham.span_ms.end, ms("2026-06-21T11:15:00Z"));
}

// Samoa went from 2011-12-29 to 2011-12-31. Seen to fail (an empty step) without the check in `calendar_bounds_s`.
#[test]
fn a_skipped_day_is_no_step() {
    let timeline = custom("2011-12-28", "2012-01-02", "Pacific/Apia").unwrap();
    let expected = [
        "2011-12-28T00:00-10:00",
        "2011-12-29T00:00-10:00",
        "2011-12-31T00:00+14:00",
        "2012-01-01T00:00+14:00",
        "2012-01-02T00:00+14:00",
    ];
    assert_eq!(starts(&timeline, "Pacific/Apia"), expected);
}

#[test]
fn intervals_begin_where_they_say() {
    let first =
        |name: &str| starts(&interval(name, "Europe/Berlin", "2026-11-20T23:30:00Z"), "Europe/Berlin")[0].clone();
    assert_eq!(first("24h"), "2026-11-20T01:00+01:00");
    assert_eq!(first("7d"), "2026-11-15T00:00+01:00");
    assert_eq!(first("mtd"), "2026-11-01T00:00+01:00");
    assert_eq!(first("qtd"), "2026-10-01T00:00+02:00");
    assert_eq!(first("ytd"), "2026-01-01T00:00+01:00");
    assert_eq!(first("1y"), "2025-12-01T00:00+01:00");
    assert_eq!(first("all"), "2026-11-01T00:00+01:00");
}

#[test]
fn a_custom_time_is_by_hour_day_or_month_and_cut_at_its_ends() {
    assert_eq!(custom("2026-11-01", "2026-11-02", "UTC").unwrap().step, Step::Hour);
    assert_eq!(custom("2026-11-01", "2026-11-03", "UTC").unwrap().step, Step::Day);
    assert_eq!(custom("2026-01-01", "2026-06-29", "UTC").unwrap().step, Step::Day);
    assert_eq!(custom("2026-01-01", "2026-06-30", "UTC").unwrap().step, Step::Month);
    let cut = custom("2026-11-01T10:07:00+01:00", "2026-11-03T10:08:00.5+01:00", "Europe/Berlin").unwrap();
    let expected = ["2026-11-01T10:00+01:00", "2026-11-02T00:00+01:00", "2026-11-03T00:00+01:00"];
    assert_eq!(starts(&cut, "Europe/Berlin"), expected);
    assert_eq!(cut.span_ms.end, ms("2026-11-03T09:15:00Z"));
}

// Every refusal names what is wrong. Seen to fail when the start is compared after widening only.
#[test]
fn what_makes_no_sense_is_refused_with_a_sentence() {
    let sentence = |result: Result<Timeline, TimelineError>| result.unwrap_err().to_string();
    assert_eq!(
        "8d".parse::<Interval>().unwrap_err().to_string(),
        "unknown interval '8d': one of 24h, 7d, 30d, 90d, 1y, mtd, qtd, ytd, all"
    );
    assert!("Mars/Olympus".parse::<Zone>().unwrap_err().to_string().starts_with("unknown time zone 'Mars/Olympus'"));
    for text in ["", "yesterday", "2026-13-01", "2026-11-20T08:00:00", "20261120", "2026-11-20T08"] {
        assert!(sentence(custom(text, "2026-11-20", "UTC")).contains("is not a time"), "{text}");
    }
    let after = [("2026-11-20", "2026-11-19"), ("2026-11-20T08:00:01Z", "2026-11-20T08:00:00Z")];
    for (start, end) in after {
        assert_eq!(custom(start, end, "UTC"), Err(TimelineError::StartAfterEnd));
    }
    assert!(sentence(custom("0001-01-01", "2026-01-01", "UTC")).contains("more than 1000 months"));
    assert_eq!(custom("9999-12-01", "9999-12-31", "UTC"), Err(TimelineError::BeyondCalendar));
    assert!(custom("2026-11-20T08:00:00Z", "2026-11-20T08:00:00Z", "UTC").unwrap().steps_ms.is_empty());
}

// Who asks for no series is not refused for its steps. Seen to fail when the span is that of a timeline.
#[test]
fn a_span_may_be_longer_than_a_series() {
    assert!(custom("1900-01-01", "2026-01-01", "UTC").unwrap_err().to_string().contains("more than 1000 months"));
    let long = span("1900-01-01", "2026-01-01", "UTC").unwrap();
    assert_eq!(long, ms("1900-01-01T00:00:00Z")..ms("2026-01-02T00:00:00Z"));
    let (start, end) = ("2026-11-01T10:07:00+01:00", "2026-11-03T10:08:00.5+01:00");
    assert_eq!(span(start, end, "Europe/Berlin"), custom(start, end, "Europe/Berlin").map(|timeline| timeline.span_ms));
    assert_eq!(span("2026-11-20", "2026-11-19", "UTC"), Err(TimelineError::StartAfterEnd));
}

#[test]
fn zones_come_with_the_program() {
    assert!(jiff_bundled("Europe/Berlin") && jiff_bundled("Pacific/Chatham"));
}

fn jiff_bundled(name: &str) -> bool {
    jiff::tz::TimeZoneDatabase::bundled().get(name).is_ok()
}
