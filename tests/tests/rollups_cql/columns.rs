//! What a commit writes, and what it does not.

use analytics::{
    click::Click,
    rollups::cql::Retention,
    stream::{Sequenced, Source},
};
use scylla::{
    response::query_result::QueryResult,
    statement::unprepared::Statement,
    value::{CqlValue, Row},
};
use septet_tests::{engines::LIMIT, wait::until};

use crate::{
    counting::{Counting, clicks},
    keyspace::{ALL_APART, Keyspace},
};

/// The parts of a link that are never there.
const EMPTY: &str = "SELECT count(link), count(link_daily) FROM days WHERE subject = 0 ALLOW FILTERING";

/// Sums of days beside their quarter-hours.
const SUMS: &str = "SELECT count(clicks_daily), count(continent_daily), count(device_daily), count(os_daily), \
                    count(browser_daily), count(country_daily), count(region_daily), count(referer_daily), count(city_daily), \
                    count(link_daily) FROM days";

fn bigint(row: &Row, column: usize) -> Option<i64> {
    row.columns[column].as_ref().and_then(CqlValue::as_bigint)
}

/// Rows with empty parts, written whole and in part, from memory and after a read.
///
/// Seen to fail when parts that are not written were null instead of unset, and when totals without a person's click were.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Cassandra: run by tests/run"]
async fn what_is_empty_or_unchanged_leaves_no_tombstone() {
    for retention in [Retention::default(), ALL_APART] {
        let keyspace = Keyspace::keeping(retention).await;
        leaves_no_tombstone(&keyspace).await;
        let written = keyspace.rows(SUMS).await.remove(0);
        let sums = [7, 7, 7, 7, 7, 7, 7, 7, 7, 2].map(Some);
        assert_eq!(sums, std::array::from_fn(|column| bigint(&written, column)), "{retention:?}");
    }
}

/// Few quarter-hours are written once, in the place of the sum, unless they end before it.
///
/// Seen to fail when they were written twice, and when they were written once though they end before.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Cassandra: run by tests/run"]
async fn few_quarter_hours_are_written_once() {
    const COLUMNS: usize = 2;
    for (retention, twice) in [(Retention::default(), false), (ALL_APART, true)] {
        let keyspace = Keyspace::keeping(retention).await;
        let store = keyspace.store().await;
        let mut counting = Counting::begin(&store, &Source("local".to_owned())).await;
        counting.count(&clicks(30), 30).await;
        counting.commit().await.unwrap();
        let rows = keyspace.rows("SELECT clicks, browser, clicks_daily, browser_daily FROM days").await;
        assert!(!rows.is_empty());
        for row in rows {
            let bytes = |column: usize| row.columns[column].as_ref().and_then(CqlValue::as_blob).expect("a blob").len();
            for column in 0..COLUMNS {
                assert!(bytes(COLUMNS + column) > 0, "{retention:?}: {row:?}");
                assert_eq!(bytes(column) > 0, twice, "{retention:?}: {row:?}");
            }
        }
    }
}

async fn leaves_no_tombstone(keyspace: &Keyspace) {
    let store = keyspace.store().await;
    let source = Source("local".to_owned());
    let mut clicks = clicks(30);
    // To this link no person ever comes.
    clicks[5].click = Click { link: 5, bot: true, ..clicks[5].click.clone() };
    for through in [10, 20, 30] {
        let mut counting = Counting::begin(&store, &source).await;
        counting.count(&clicks, through - 5).await;
        counting.commit().await.unwrap();
        counting.count(&clicks, through).await;
        counting.commit().await.unwrap();
    }
    let empty = keyspace.rows(EMPTY).await.remove(0);
    assert!((0..empty.columns.len()).all(|column| bigint(&empty, column) == Some(0)), "{empty:?}");
    for (table, rows) in [("days", 7), ("totals", 4), ("progress", 1)] {
        let mut select = Statement::new(format!("SELECT * FROM {table}"));
        select.set_tracing(true);
        let answer = keyspace.session().query_unpaged(select, ()).await.unwrap();
        let trace = trace(keyspace, &answer).await;
        let read = trace.iter().filter(|event| event.contains("tombstone")).cloned().collect::<Vec<_>>();
        assert!(!read.is_empty(), "it says what it read: {trace:?}");
        assert!(read.iter().all(|event| event.contains(" 0 tombstone")), "{table}: {read:?}");
        assert_eq!(answer.into_rows_result().unwrap().rows_num(), rows);
    }
}

async fn trace(keyspace: &Keyspace, answer: &QueryResult) -> Vec<String> {
    let id = answer.tracing_id().expect("it was traced");
    let trace = || keyspace.session().get_tracing_info(&id);
    // The node writes it after its answer, bit by bit; how long that took, last. Both tables of it are read at once, so it is read once more.
    until("a statement is traced", LIMIT, || async { trace().await.ok()?.duration }).await;
    trace().await.expect("the trace").events.into_iter().filter_map(|event| event.activity).collect()
}

/// A click by a bot leaves the visitors of a row as they are. Whoever has read the row writes it whole, as it may be on one replica only.
///
/// Seen to fail when every part was written each time, when a row that was read was taken for written, and when rows had the time of
/// day or a fixed one as timestamp.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Cassandra: run by tests/run"]
async fn what_has_not_changed_is_not_written_again() {
    let keyspace = Keyspace::new().await;
    let store = keyspace.store().await;
    let source = Source("local".to_owned());
    let mut clicks = clicks(1);
    let person = &clicks[0].click;
    let bot = Click { offset: person.offset + 32, bot: true, ..person.clone() };
    clicks.push(Sequenced { sequence: 2, click: bot });
    let times = async || {
        let select = "SELECT WRITETIME(watermark), WRITETIME(clicks), WRITETIME(visitors) FROM days \
                      WHERE subject = 1 ALLOW FILTERING";
        let rows = keyspace.rows(select).await;
        // Twice the watermark.
        [0, 1, 2].map(|column| bigint(&rows[0], column).expect("it was written"))
    };
    let mut counting = Counting::begin(&store, &source).await;
    counting.count(&clicks, 1).await;
    counting.commit().await.unwrap();
    assert_eq!(times().await, [2, 2, 2]);
    counting.count(&clicks, 2).await;
    counting.commit().await.unwrap();
    assert_eq!(times().await, [4, 4, 2]);

    let mut heir = Counting::begin(&store, &source).await;
    heir.count(&clicks, 2).await;
    heir.commit().await.unwrap();
    assert_eq!(times().await, [4, 4, 4]);
}
