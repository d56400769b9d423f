//! Answers questions from the rollups: reads the days that a question touches, a few at a time, only the part it needs.

use std::{
    cmp::Reverse,
    ops::{Range, RangeInclusive},
    sync::Arc,
};

use async_trait::async_trait;
use foldhash::HashMap;
use futures::try_join;

use crate::{
    click::Text,
    query::{Answer, Bots, Counted, Dimension, Group, Links, Queries, Query, QueryError, Totals},
    rollups::{DAY_MS, Day, DayRow, Part, Rollups, RollupsError, SLOT_MS, Subject, Wanted, visitors::VisitorUnion},
};

/// The longest time that may be asked for, in days: a hundred years. Longer is [`QueryError::Invalid`].
pub const SPAN_DAYS_MAX: i64 = 36_600;

/// The most spans of one series. More is [`QueryError::Invalid`].
pub const SERIES_MAX: usize = 1_000;

/// The most values of one answer. More is [`QueryError::Invalid`].
pub const VALUES_LIMIT_MAX: u32 = 10_000;

/// Days read at once, so that a question holds no more in memory than these and its answer.
const DAYS_AT_ONCE: i32 = 92;

/// The same where each day may hold thousands of values from every source.
const LARGE_DAYS_AT_ONCE: i32 = 8;

/// A span at least this long, in milliseconds, is told its visitors: the shortest day of a time zone has 23 hours.
const VISITORS_SPAN_MS: i64 = 23 * 4 * SLOT_MS;

/// What a subject without a click has.
const NO_DAYS: RangeInclusive<Day> = Day(1)..=Day(0);

/// [`Queries`] on a store of rollups.
#[derive(Clone)]
pub struct Engine {
    store: Arc<dyn Rollups>,
}

impl Engine {
    pub fn new(store: Arc<dyn Rollups>) -> Engine {
        Engine { store }
    }

    /// The days of a subject that `span` touches and that may have rows.
    async fn days(&self, subject: Subject, span: &Range<i64>) -> Result<RangeInclusive<Day>, QueryError> {
        let first = if span.is_empty() { None } else { self.store.first_day(subject).await? };
        Ok(match first {
            Some(first) => Day::of(span.start).max(first)..=Day::of(span.end - 1),
            None => NO_DAYS,
        })
    }

    /// Shows `each` the rows of these days.
    async fn read(
        &self,
        subject: Subject,
        days: &RangeInclusive<Day>,
        wanted: Wanted,
        mut each: impl FnMut(Day, &DayRow),
    ) -> Result<(), QueryError> {
        let at_once = match (subject, wanted) {
            (Subject::All, Wanted::Part(Part::Values(_)) | Wanted::WholeDays(_)) => LARGE_DAYS_AT_ONCE,
            _ => DAYS_AT_ONCE,
        };
        let (mut from, to) = (*days.start(), *days.end());
        while from <= to {
            let until = Day(from.0.saturating_add(at_once - 1)).min(to);
            for (day, row) in self.store.read(subject, from..=until, wanted).await? {
                each(day, &row);
            }
            let Some(next) = until.0.checked_add(1) else { break };
            from = Day(next);
        }
        Ok(())
    }

    async fn count(&self, subject: Subject, span: &Range<i64>, bots: Bots) -> Result<Counted, QueryError> {
        let days = self.days(subject, span).await?;
        let mut clicks = 0;
        let mut visitors = (bots != Bots::Only).then(VisitorUnion::default);
        self.read(subject, &days, with_visitors(visitors.is_some()), |day, row| {
            clicks += slots_within(day, span, row).map(|(_, slot)| slot.of(bots)).sum::<u64>();
            if let Some(visitors) = &mut visitors {
                visitors.add(&row.visitors);
            }
        })
        .await?;
        Ok(Counted { clicks, visitors: visitors.map(|visitors| visitors.count()) })
    }

    async fn series(&self, subject: Subject, spans: &[Range<i64>], bots: Bots) -> Result<Vec<Counted>, QueryError> {
        let mut series = vec![Counted::default(); spans.len()];
        let (Some(first), Some(last)) = (spans.first(), spans.last()) else {
            return Ok(series);
        };
        let whole = first.start..last.end;
        let days = self.days(subject, &whole).await?;
        let is_told = |span: &Range<i64>| bots != Bots::Only && span.end - span.start >= VISITORS_SPAN_MS;
        let mut unions: Vec<_> = spans.iter().map(|span| is_told(span).then(VisitorUnion::default)).collect();
        self.read(subject, &days, with_visitors(unions.iter().any(Option::is_some)), |day, row| {
            for (at_ms, slot) in slots_within(day, &whole, row) {
                let place = spans.partition_point(|span| span.end <= at_ms);
                if spans[place].contains(&at_ms) {
                    series[place].clicks += slot.of(bots);
                }
            }
            let touching = spans.partition_point(|span| span.end <= day.start_ms())
                ..spans.partition_point(|span| span.start < day.start_ms() + DAY_MS);
            unions[touching].iter_mut().flatten().for_each(|union| union.add(&row.visitors));
        })
        .await?;
        for (counted, union) in series.iter_mut().zip(&unions) {
            counted.visitors = union.as_ref().map(VisitorUnion::count);
        }
        Ok(series)
    }

    /// The values of a dimension that were clicked in `span`, those clicked most first.
    async fn values(
        &self,
        subject: Subject,
        span: &Range<i64>,
        bots: Bots,
        dimension: Dimension,
        limit: u32,
    ) -> Result<Vec<(String, u64)>, QueryError> {
        let days = self.days(subject, span).await?;
        let [before, whole, after] = by_whole_days(&days, span);
        let sums = |days, wanted| self.sums(subject, days, wanted, span, (dimension, bots));
        let part = Wanted::Part(Part::Values(dimension));
        let (mut counts, before, after) =
            try_join!(sums(whole, Wanted::WholeDays(dimension)), sums(before, part), sums(after, part))?;
        before.into_iter().chain(after).for_each(|(value, clicks)| *counts.entry(value).or_default() += clicks);
        let mut values: Vec<_> = counts.into_iter().map(|(value, clicks)| (value.to_string(), clicks)).collect();
        values.sort_unstable_by(|(a, clicks_a), (b, clicks_b)| (Reverse(clicks_a), a).cmp(&(Reverse(clicks_b), b)));
        values.truncate(limit as usize);
        Ok(values)
    }

    /// The clicks on each value, of the quarter-hours in `span`.
    async fn sums(
        &self,
        subject: Subject,
        days: RangeInclusive<Day>,
        wanted: Wanted,
        span: &Range<i64>,
        (dimension, bots): (Dimension, Bots),
    ) -> Result<HashMap<Text, u64>, QueryError> {
        let mut sums = HashMap::default();
        self.read(subject, &days, wanted, |day, row| {
            for (value, slots) in row.values(dimension) {
                let within = slots.iter().filter(|slot| span.contains(&slot_start_ms(day, slot.index)));
                let clicks: u64 = within.map(|slot| slot.of(bots)).sum();
                if clicks > 0 {
                    *sums.entry(value).or_default() += clicks;
                }
            }
        })
        .await?;
        Ok(sums)
    }
}

#[async_trait]
impl Queries for Engine {
    async fn answer(&self, query: &Query) -> Result<Answer, QueryError> {
        let subject = subject(&query.links);
        let span = widened(&query.span_ms)?;
        match &query.group {
            Group::Count => Ok(Answer::Count(self.count(subject, &span, query.bots).await?)),
            Group::Series(spans) => {
                let spans = in_order(spans)?;
                Ok(Answer::Series(self.series(subject, &spans, query.bots).await?))
            }
            Group::Values { dimension: Dimension::Link, .. } if subject != Subject::All => {
                Err(invalid("the clicks of one link are not grouped by link"))
            }
            Group::Values { limit, .. } if *limit > VALUES_LIMIT_MAX => {
                Err(invalid(format!("more than {VALUES_LIMIT_MAX} values are not answered at once")))
            }
            Group::Values { dimension, limit } => {
                Ok(Answer::Values(self.values(subject, &span, query.bots, *dimension, *limit).await?))
            }
        }
    }

    async fn totals(&self, links: &[u64]) -> Result<Vec<Totals>, QueryError> {
        let subjects: Vec<_> = links.iter().map(|id| Subject::Link(*id)).collect();
        Ok(self.store.totals(&subjects).await?)
    }

    async fn first_click_ms(&self, links: &Links) -> Result<Option<i64>, QueryError> {
        let subject = subject(links);
        let Some(day) = self.store.first_day(subject).await? else {
            return Ok(None);
        };
        let rows = self.store.read(subject, day..=day, Part::Clicks.into()).await?;
        let slots = rows.iter().flat_map(|(_, row)| row.clicks.iter());
        // A day whose rows have ended is known as a day.
        Ok(slots.map(|slot| slot_start_ms(day, slot.index)).min().or(Some(day.start_ms())))
    }
}

impl From<RollupsError> for QueryError {
    fn from(error: RollupsError) -> Self {
        QueryError::Unavailable(Box::new(error))
    }
}

fn invalid(sentence: impl Into<String>) -> QueryError {
    QueryError::Invalid(sentence.into())
}

fn subject(links: &Links) -> Subject {
    match links {
        Links::All => Subject::All,
        Links::One(id) => Subject::Link(*id),
    }
}

fn with_visitors(are_told: bool) -> Wanted {
    if are_told { Wanted::ClicksAndVisitors } else { Part::Clicks.into() }
}

/// The days before, among and after those that lie in `span` with all their quarter-hours: of the former and the latter, one at most.
fn by_whole_days(days: &RangeInclusive<Day>, span: &Range<i64>) -> [RangeInclusive<Day>; 3] {
    let (first, last) = (*days.start(), *days.end());
    if first > last {
        return [NO_DAYS; 3];
    }
    let begins_within = first.start_ms() < span.start;
    let ends_within = last.start_ms() + DAY_MS > span.end && !(first == last && begins_within);
    let whole = match (first.0.checked_add(begins_within.into()), last.0.checked_sub(ends_within.into())) {
        (Some(from), Some(to)) => Day(from)..=Day(to),
        _ => NO_DAYS,
    };
    let one = |there, day| if there { day..=day } else { NO_DAYS };
    [one(begins_within, first), whole, one(ends_within, last)]
}

fn slot_start_ms(day: Day, index: u8) -> i64 {
    day.start_ms() + i64::from(index) * SLOT_MS
}

/// The quarter-hours of a row that lie in `span`, with their beginnings.
fn slots_within<'a>(
    day: Day,
    span: &'a Range<i64>,
    row: &'a DayRow,
) -> impl Iterator<Item = (i64, &'a crate::rollups::slots::Slot)> {
    row.clicks.iter().map(move |slot| (slot_start_ms(day, slot.index), slot)).filter(|(at_ms, _)| span.contains(at_ms))
}

/// A span on whole quarter-hours.
fn widened(span: &Range<i64>) -> Result<Range<i64>, QueryError> {
    if span.start > span.end {
        return Err(invalid("a span of time ends before it starts"));
    }
    if span.end.saturating_sub(span.start) > SPAN_DAYS_MAX * DAY_MS {
        return Err(invalid(format!("a span of time is longer than {SPAN_DAYS_MAX} days")));
    }
    let start = span.start.div_euclid(SLOT_MS).checked_mul(SLOT_MS);
    let end = span.end.checked_add(SLOT_MS - 1).map(|end| end.div_euclid(SLOT_MS) * SLOT_MS);
    match (start, end) {
        (Some(start), Some(end)) => Ok(start..end),
        _ => Err(invalid("a span of time lies beyond all calendars")),
    }
}

/// Spans on whole quarter-hours, in order, none overlapping.
fn in_order(spans: &[Range<i64>]) -> Result<Vec<Range<i64>>, QueryError> {
    if spans.len() > SERIES_MAX {
        return Err(invalid(format!("a series has more than {SERIES_MAX} spans")));
    }
    let spans: Vec<_> = spans.iter().map(widened).collect::<Result<_, _>>()?;
    if spans.windows(2).any(|pair| pair[0].end > pair[1].start) {
        return Err(invalid("the spans of a series overlap, or are not in order"));
    }
    if let (Some(first), Some(last)) = (spans.first(), spans.last()) {
        widened(&(first.start..last.end))?;
    }
    Ok(spans)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Often the first of a day.
    fn quarter_hour() -> impl Strategy<Value = i64> {
        prop_oneof![-400..400_i64, (-4..4_i64).prop_map(|day| day * 96)]
    }

    proptest! {
        /// Seen to fail when a day was read that is not among those of a link without clicks, and when a day that ends with the span was not whole.
        #[test]
        fn days_are_read_whole_where_they_lie_within(start in quarter_hour(), slots in quarter_hour(), known in -5..8_i32) {
            let span = start * SLOT_MS..(start + slots.abs()) * SLOT_MS;
            let days = Day(known).max(Day::of(span.start))..=Day::of(span.end - 1);
            let parts @ [before, whole, after] = &by_whole_days(&days, &span);
            let read = parts.iter().flat_map(|days| days.start().0..=days.end().0);
            prop_assert!(read.eq(days.start().0..=days.end().0), "each day once");
            for day in days.start().0..=days.end().0 {
                let lies_within = span.start <= Day(day).start_ms() && Day(day + 1).start_ms() <= span.end;
                prop_assert_eq!(whole.contains(&Day(day)), lies_within);
            }
            prop_assert!([before, after].iter().all(|days| days.start().0 >= days.end().0), "one at most");
        }
    }
}
