//! Rows that end.

use std::{sync::Arc, time::Duration};

use analytics::{
    click::Click,
    engine::Engine,
    query::{Answer, Bots, Dimension, Group, Links, Queries, Query},
    rollups::{
        Changes, DAY_MS, Day, DayRow, Part, Rollups, SLOT_MS, Subject,
        cql::{CqlRollups, Retention},
    },
    stream::{Sequenced, Source},
};
use scylla::value::{CqlValue, Row};
use septet_tests::{engines::LIMIT, wait::until};
use tokio::time::sleep;

use crate::{
    counting::{Counting, FIRST_DAY, clicks},
    keyspace::Keyspace,
};

/// The link of the clicks, and all of them.
const SUBJECTS: [Subject; 2] = [Subject::Link(7), Subject::All];

const HOUR: Duration = Duration::from_secs(3_600);

const SECOND: Option<Duration> = Some(Duration::from_secs(1));

const DAY: Day = Day(FIRST_DAY as i32);

/// The watermark lives as long as the day: where it ended before, a replay would count the day's clicks twice.
///
/// Seen to fail when no row had a time to live, when visitors had that of days, when the watermark had that of visitors or of detail, when sums had that
/// of detail, and when totals had one.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Cassandra: run by tests/run"]
async fn each_lives_as_long_as_it_is_to_and_totals_for_ever() {
    let keyspace = Keyspace::new().await;
    let hours = |hours| Some(hours * HOUR);
    let cases = [
        Retention::default(),
        Retention { detail: None, days: hours(2), visitors: hours(2) },
        Retention { detail: None, days: hours(2), visitors: hours(1) },
        Retention { detail: None, days: hours(1), visitors: hours(2) },
        Retention { detail: None, days: None, visitors: hours(1) },
        Retention { detail: None, days: hours(1), visitors: None },
        Retention { detail: hours(2), days: hours(2), visitors: hours(3) },
        Retention { detail: hours(1), days: None, visitors: None },
        Retention { detail: hours(1), days: hours(2), visitors: hours(1) },
        Retention { detail: hours(1), days: hours(2), visitors: hours(2) },
        Retention { detail: hours(1), days: hours(2), visitors: hours(3) },
    ];
    for (case, retention) in cases.into_iter().enumerate() {
        let Retention { detail, days, visitors } = retention;
        let store = keyspace.store_keeping(retention).await;
        let source = Source(format!("case {case}"));
        let mut counting = Counting::begin(&store, &source).await;
        counting.count(&clicks(20), 20).await;
        counting.commit().await.unwrap();
        let of = format!("source = '{}' ALLOW FILTERING", source.0);
        let detail = detail.or(days);
        let parts = [("watermark", days), ("clicks", detail), ("browser", detail), ("visitors", visitors)];
        for (column, kept) in parts {
            assert_ttls(
                &keyspace.rows(&format!("SELECT TTL({column}) FROM days WHERE subject = 1 AND {of}")).await,
                kept,
            );
        }
        let sums = ["clicks_daily", "browser_daily"].map(|column| format!("{column}, TTL({column})"));
        for row in keyspace.rows(&format!("SELECT {} FROM days WHERE subject = 1 AND {of}", sums.join(", "))).await {
            for sum in row.columns.chunks(2) {
                assert!(sum[0].is_some() && is_about(int(&sum[1]), days), "{sum:?} of {retention:?}");
            }
        }
        for read in ["TTL(clicks), TTL(first_day) FROM totals", "TTL(watermark), TTL(logs) FROM progress"] {
            let rows = keyspace.rows(&format!("SELECT {read} WHERE {of}")).await;
            assert!(!rows.is_empty() && rows.iter().all(|row| row.columns.iter().all(Option::is_none)), "{rows:?}");
        }
    }
}

fn int(value: &Option<CqlValue>) -> Option<i32> {
    value.as_ref().and_then(CqlValue::as_int)
}

/// Of one column, in the rows of both days.
fn assert_ttls(rows: &[Row], kept: Option<Duration>) {
    assert_eq!(rows.len(), 2);
    assert!(rows.iter().all(|row| is_about(int(&row.columns[0]), kept)), "{rows:?} of {kept:?}");
}

/// A minute may have passed since.
fn is_about(ttl: Option<i32>, kept: Option<Duration>) -> bool {
    match (ttl, kept.map(|kept| kept.as_secs() as i32)) {
        (Some(ttl), Some(kept)) => (kept - 60..=kept).contains(&ttl),
        (ttl, kept) => ttl == kept,
    }
}

/// Visitors end with their days, or before them, or after them; counting goes on.
///
/// Seen to fail when a row without its watermark could not be read, and when there was no first click without the first day's row.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Cassandra: run by tests/run"]
async fn what_has_ended_is_not_missed() {
    let keyspace = Keyspace::new().await;
    for (case, retention) in [
        Retention { detail: None, days: SECOND, visitors: SECOND },
        Retention { detail: None, days: SECOND, visitors: None },
        Retention { detail: None, days: None, visitors: SECOND },
    ]
    .into_iter()
    .enumerate()
    {
        let store = keyspace.store_keeping(retention).await;
        let (source, mut clicks) = (Source(format!("case {case}")), clicks(30));
        let link = case as u64 + 7;
        clicks.iter_mut().for_each(|sequenced| sequenced.click.link = link);
        let count = |part: Part| {
            let store = Arc::clone(&store);
            async move {
                let days = Day(FIRST_DAY as i32)..=Day(FIRST_DAY as i32 + 1);
                let rows = store.read(Subject::Link(link), days, part.into()).await.unwrap();
                rows.iter().filter(|(_, row)| !row.encode(part).is_empty()).count()
            }
        };
        let mut counting = Counting::begin(&store, &source).await;
        counting.count(&clicks, 20).await;
        counting.commit().await.unwrap();
        for (part, kept) in [(Part::Clicks, retention.days), (Part::Visitors, retention.visitors)] {
            match kept {
                Some(_) => until("rows end", LIMIT, || async { (count(part).await == 0).then_some(()) }).await,
                None => assert_eq!(count(part).await, 2),
            }
        }

        let mut counting = Counting::begin(&store, &source).await;
        counting.count(&clicks, 30).await;
        counting.commit().await.unwrap();
        let totals = store.totals(&[Subject::Link(link)]).await.unwrap()[0];
        assert_eq!(totals.clicks + totals.bots, 30);
        assert_eq!(store.first_day(Subject::Link(link)).await.unwrap(), Some(Day(FIRST_DAY as i32)));
        until("rows end", LIMIT, || async {
            (retention.days.is_none() || count(Part::Clicks).await == 0).then_some(())
        })
        .await;
        let first_click_ms = Engine::new(store.clone()).first_click_ms(&Links::One(link)).await.unwrap();
        let first = if retention.days.is_none() { clicks[0].click.at_ms } else { FIRST_DAY * DAY_MS };
        assert_eq!(first_click_ms.map(|ms| ms - ms % 900_000), Some(first - first % 900_000), "{retention:?}");
    }
}

/// Clicks of one day on one link, in many of its quarter-hours.
fn clicks_of_a_day(count: u64) -> Vec<Sequenced> {
    let mut clicks = clicks(count);
    for sequenced in &mut clicks {
        let at_ms = FIRST_DAY * DAY_MS + (1 + sequenced.sequence as i64 % 90) * SLOT_MS;
        sequenced.click = Click { at_ms, link: 7, ..sequenced.click.clone() };
    }
    clicks
}

async fn rows(store: &CqlRollups, source: &Source) -> Vec<DayRow> {
    store.days(source, &SUBJECTS.map(|subject| (subject, DAY))).await.unwrap()
}

/// What is left of rows once their quarter-hours have ended.
fn ended(rows: &[DayRow]) -> Vec<DayRow> {
    let left = |row: &DayRow| {
        let mut left = DayRow::at(row.watermark);
        Part::ALL.into_iter().for_each(|part| left.decode(part, &row.encode_daily(part)).expect("it was encoded"));
        left
    };
    rows.iter().map(left).collect()
}

/// Counts on from what is stored; what the rows of the day must be then.
async fn count_on(store: &Arc<CqlRollups>, source: &Source, clicks: &[Sequenced], through: u64) -> Vec<DayRow> {
    let mut counting = Counting::begin(store, source).await;
    counting.count(clicks, through).await;
    counting.commit().await.unwrap();
    SUBJECTS.map(|subject| counting.day(subject, DAY).clone()).to_vec()
}

/// People's and bots' clicks of a question about part of the day, from one quarter-hour up to another.
async fn answer(store: &Arc<CqlRollups>, links: Links, quarters: [i64; 2], group: Group) -> Answer {
    let [from, to] = quarters.map(|quarter| FIRST_DAY * DAY_MS + quarter * SLOT_MS);
    let query = Query { links, span_ms: from..to, bots: Bots::Include, group };
    Engine::new(store.clone()).answer(&query).await.unwrap()
}

async fn clicks_within(store: &Arc<CqlRollups>, links: Links, quarters: [i64; 2]) -> u64 {
    match answer(store, links, quarters, Group::Count).await {
        Answer::Count(counted) => counted.clicks,
        other => panic!("{other:?}"),
    }
}

/// Waits until no quarter-hour is left: then all else is there.
async fn until_daily(keyspace: &Keyspace, store: &CqlRollups, source: &Source, counted: &[DayRow]) {
    until("quarter-hours end", LIMIT, || async {
        let rows = keyspace.rows("SELECT clicks FROM days").await;
        rows.iter().all(|row| row.columns[0].is_none()).then_some(())
    })
    .await;
    assert_eq!(rows(store, source).await, ended(counted));
}

/// What was clicked, in all and by value, is told of a day after its quarter-hours have ended, at the beginning of the day; a click that comes
/// then is added, and stays when its own quarter-hour has ended. A question finds each day as counting does.
///
/// Seen to fail when sums were not read, when they were not written, when a question did not ask for them, and when a late click was
/// written beside a sum without it.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Cassandra: run by tests/run"]
async fn a_day_is_told_when_its_quarter_hours_have_ended() {
    let keyspace = Keyspace::new().await;
    let store = keyspace.store_keeping(Retention { detail: SECOND, ..Retention::default() }).await;
    let (source, clicks) = (Source("local".to_owned()), clicks_of_a_day(60));
    let counted = count_on(&store, &source, &clicks, 40).await;
    until_daily(&keyspace, &store, &source, &counted).await;
    for links in [Links::One(7), Links::All] {
        assert_eq!(clicks_within(&store, links.clone(), [0, 1]).await, 40, "{links:?}");
        assert_eq!(clicks_within(&store, links.clone(), [1, 96]).await, 0, "{links:?}");
        assert_eq!(clicks_within(&store, links, [0, 96]).await, 40);
    }
    for dimension in Dimension::ALL {
        let values = answer(&store, Links::All, [0, 1], Group::Values { dimension, limit: 100 }).await;
        let Answer::Values(values) = values else { panic!("{values:?}") };
        assert_eq!(values.iter().map(|(_, clicks)| clicks).sum::<u64>(), 40, "{dimension:?}: {values:?}");
    }

    let late = count_on(&store, &source, &clicks, 60).await;
    assert!(late.iter().all(|row| row.clicks.clicks() == 60 && row.clicks.iter().count() == 1 + 20));
    assert_eq!(clicks_within(&store, Links::One(7), [0, 96]).await, 60, "whether the late ones have ended or not");
    until_daily(&keyspace, &store, &source, &late).await;
    assert_eq!(clicks_within(&store, Links::One(7), [0, 1]).await, 60);

    // From the start, as if nothing had ever ended.
    let other = keyspace.store().await;
    let whole = count_on(&other, &Source("other".to_owned()), &clicks, 60).await;
    assert_eq!(ended(&late), ended(&whole));
}

/// Quarter-hours that were written apart from their sum, as they were to end before it, and now are so few that they stand in its place.
///
/// Seen to fail when nothing was written in theirs.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Cassandra: run by tests/run"]
async fn quarter_hours_of_other_settings_are_not_read_for_those_of_now() {
    let keyspace = Keyspace::new().await;
    let (source, clicks) = (Source("local".to_owned()), clicks_of_a_day(60));
    let apart = keyspace.store_keeping(Retention { detail: Some(HOUR), ..Retention::default() }).await;
    count_on(&apart, &source, &clicks, 20).await;
    let store = keyspace.store().await;
    let counted = count_on(&store, &source, &clicks, 40).await;
    assert_eq!(rows(&store, &source).await, counted);
    assert_eq!(clicks_within(&store, Links::One(7), [0, 96]).await, 40);
}

/// Whoever comes after a consumer that died between its rows and its progress writes these once more, under the same watermark, and by other settings
/// in other columns.
///
/// Seen to fail when both had the same timestamp: a row had its quarter-hours from neither.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Cassandra: run by tests/run"]
async fn a_row_that_is_written_again_under_other_settings_is_whole() {
    let days = Some(2 * HOUR);
    let [as_one, apart] = [None, Some(HOUR)].map(|detail| Retention { detail, days, visitors: None });
    for [first, then] in [[as_one, apart], [apart, as_one]] {
        let keyspace = Keyspace::new().await;
        let (source, clicks) = (Source("local".to_owned()), clicks_of_a_day(3));
        let store = keyspace.store_keeping(first).await;
        let counted = count_on(&store, &source, &clicks, 3).await;
        // What ends ends at a later second.
        sleep(Duration::from_millis(1_100)).await;
        let heir = keyspace.store_keeping(then).await;
        let days =
            SUBJECTS.into_iter().zip(rows(&heir, &source).await).map(|(subject, row)| (subject, DAY, row)).collect();
        let changes = Changes { days, totals: Vec::new() };
        heir.commit(&source, &changes, &heir.progress(&source).await.unwrap()).await.unwrap();
        assert_eq!(rows(&heir, &source).await, counted, "{first:?}, then {then:?}");
    }
}

/// A sum is of no use once it is not known what was counted with it.
///
/// Seen to fail when a sum without a watermark was read.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Cassandra: run by tests/run"]
async fn a_sum_without_a_watermark_is_left_alone() {
    let keyspace = Keyspace::new().await;
    let (source, clicks) = (Source("local".to_owned()), clicks_of_a_day(60));
    let store = keyspace.store().await;
    count_on(&store, &source, &clicks, 40).await;
    for key in keyspace.rows("SELECT subject, bucket, day, source FROM days").await {
        let delete = "DELETE watermark FROM days USING TIMESTAMP 1000000 WHERE subject = ? AND bucket = ? AND day = ? AND source = ?";
        keyspace.session().query_unpaged(delete, key.columns).await.expect("it is deleted");
    }
    let rows = rows(&store, &source).await;
    assert!(rows.iter().all(|row| row.watermark == 0 && row.clicks.is_empty()), "{rows:?}");
    assert_eq!(clicks_within(&store, Links::One(7), [0, 96]).await, 0);
    let by_browser = Group::Values { dimension: Dimension::Browser, limit: 9 };
    assert_eq!(answer(&store, Links::One(7), [0, 96], by_browser).await, Answer::Values(Vec::new()));
}
