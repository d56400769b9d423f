//! Commits of many rows, where some statements always fail.

use analytics::{
    cql::Faults,
    fold::{Rows, fold},
    rollups::{Rollups, RollupsError, Subject, cql::ATTEMPTS_MAX},
    stream::{Progress, Sequenced, Source},
};

use crate::{
    counting::{assert_exact, changes, clicks},
    keyspace::Keyspace,
};

/// Links that are clicked, each once.
const LINKS: u64 = 1_000;

/// Of so many statements, one is lost: a row of its own is lost each time with a probability of 50^-6.
const EACH: u32 = 50;

/// Clicks on as many links.
fn spread_out() -> Vec<Sequenced> {
    let mut clicks = clicks(LINKS);
    clicks.iter_mut().zip(0..).for_each(|(sequenced, link)| sequenced.click.link = link);
    clicks
}

fn folded(clicks: &[Sequenced]) -> (Progress, Rows) {
    let (mut progress, mut rows) = (Progress::default(), Rows::default());
    for sequenced in clicks {
        fold(&mut progress, &mut rows, sequenced);
    }
    (progress, rows)
}

/// Does `work`, and each lost statement once more.
async fn losing_some<T>(faults: &Faults, statements: usize, work: impl Future<Output = Result<T, RollupsError>>) -> T {
    let (outcome, begun) = faults.lose_each(EACH, work).await;
    let done = outcome.expect("one call is enough");
    assert!(begun / EACH > 1, "several were lost");
    assert_eq!((begun - begun / EACH) as usize, statements, "nothing was done twice");
    done
}

/// Seen to fail when a failed statement failed the commit, when it failed the read, and when all rows were written again.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Cassandra: run by tests/run"]
async fn a_failed_statement_repeats_itself_alone() {
    let keyspace = Keyspace::new().await;
    let store = keyspace.store().await;
    let faults = store.cql().faults();
    let source = Source("many rows".to_owned());
    let clicks = spread_out();
    let (progress, rows) = folded(&clicks);
    let changes = changes(&rows);

    let with_progress = changes.days.len() + changes.totals.len() + 1;
    losing_some(faults, with_progress, store.commit(&source, &changes, &progress)).await;
    assert_exact(&store, &source, &clicks, "after a commit with losses").await;

    let days: Vec<_> = changes.days.iter().map(|(subject, day, _)| (*subject, *day)).collect();
    losing_some(faults, days.len(), store.days(&source, &days)).await;
    let subjects: Vec<_> = changes.totals.iter().map(|(subject, _)| *subject).collect();
    losing_some(faults, subjects.len(), store.source_totals(&source, &subjects)).await;
}

/// Seen to fail when there was one attempt more, and when the progress was written beside the rows.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Cassandra: run by tests/run"]
async fn attempts_have_an_end_and_the_progress_stays_behind() {
    let keyspace = Keyspace::new().await;
    let store = keyspace.store().await;
    let source = Source("nothing arrives".to_owned());
    let (progress, rows) = folded(&clicks(3));
    let mut changes = changes(&rows);
    changes.days.retain(|(subject, ..)| *subject == Subject::All);
    changes.days.truncate(1);
    changes.totals.clear();

    let commit = store.commit(&source, &changes, &progress);
    let (outcome, begun) = store.cql().faults().lose_each(1, commit).await;
    assert!(matches!(outcome, Err(RollupsError::Unavailable(_))), "{outcome:?}");
    assert_eq!(begun, ATTEMPTS_MAX);
    assert_eq!(store.progress(&source).await.unwrap(), Progress::default());
}
