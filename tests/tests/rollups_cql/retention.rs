//! Rows that end.

use std::{sync::Arc, time::Duration};

use analytics::{
    engine::Engine,
    query::{Links, Queries},
    rollups::{DAY_MS, Day, Part, Rollups, Subject, cql::Retention},
    stream::Source,
};
use septet_tests::{engines::LIMIT, wait::until};

use crate::{
    counting::{Counting, FIRST_DAY, clicks},
    keyspace::Keyspace,
};

const HOUR: Duration = Duration::from_secs(3_600);

/// The watermark lives as long as the clicks: where it ended before them, a replay would count them twice.
///
/// Seen to fail when no row had a time to live, when visitors had that of days, when the watermark had that of visitors, and when totals had one.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Cassandra: run by tests/run"]
async fn days_and_visitors_live_as_long_as_they_are_to_and_totals_for_ever() {
    let keyspace = Keyspace::new().await;
    let cases = [
        (None, None),
        (Some(2 * HOUR), Some(2 * HOUR)),
        (Some(2 * HOUR), Some(HOUR)),
        (Some(HOUR), Some(2 * HOUR)),
        (None, Some(HOUR)),
        (Some(HOUR), None),
    ];
    for (case, (days, visitors)) in cases.into_iter().enumerate() {
        let store = keyspace.store_keeping(Retention { days, visitors }).await;
        let source = Source(format!("case {case}"));
        let mut counting = Counting::begin(&store, &source).await;
        counting.count(&clicks(20), 20).await;
        counting.commit().await.unwrap();
        let of = format!("source = '{}' ALLOW FILTERING", source.0);
        let parts = "TTL(watermark), TTL(clicks), TTL(browser), TTL(visitors)";
        for row in keyspace.rows(&format!("SELECT {parts} FROM days WHERE subject = 1 AND {of}")).await {
            let ttls: Vec<_> = row.columns.iter().map(|ttl| ttl.as_ref().and_then(|ttl| ttl.as_int())).collect();
            for (ttl, kept) in ttls.into_iter().zip([days, days, days, visitors]) {
                let kept = kept.map(|kept| kept.as_secs() as i32);
                assert!(is_about(ttl, kept), "{ttl:?} of {kept:?}, {case}");
            }
        }
        for read in ["TTL(clicks), TTL(first_day) FROM totals", "TTL(watermark), TTL(logs) FROM progress"] {
            let rows = keyspace.rows(&format!("SELECT {read} WHERE {of}")).await;
            assert!(!rows.is_empty() && rows.iter().all(|row| row.columns.iter().all(Option::is_none)), "{rows:?}");
        }
    }
}

/// A minute may have passed since.
fn is_about(ttl: Option<i32>, kept: Option<i32>) -> bool {
    match (ttl, kept) {
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
    const SECOND: Option<Duration> = Some(Duration::from_secs(1));
    let keyspace = Keyspace::new().await;
    for (case, retention) in [
        Retention { days: SECOND, visitors: SECOND },
        Retention { days: SECOND, visitors: None },
        Retention { days: None, visitors: SECOND },
    ]
    .into_iter()
    .enumerate()
    {
        let store = keyspace.store_keeping(retention).await;
        let (source, mut clicks) = (Source(format!("case {case}")), clicks(30));
        let link = case as u64 + 7;
        clicks.iter_mut().for_each(|sequenced| sequenced.click.link = link);
        let count = |part| {
            let store = Arc::clone(&store);
            async move {
                let days = Day(FIRST_DAY as i32)..=Day(FIRST_DAY as i32 + 1);
                let rows = store.read(Subject::Link(link), days, part).await.unwrap();
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
