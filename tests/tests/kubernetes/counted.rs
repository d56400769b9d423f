//! Whether what was answered is there, and counted.

use std::time::Duration;

use septet_tests::{client::Client, wait};
use tokio::time::sleep;

use crate::{load::Ledger, say};

/// How long it may take until all is counted.
const COUNTED_WITHIN: Duration = Duration::from_secs(90);

/// What is counted too much would come a little later.
const SURPLUS_WITHIN: Duration = Duration::from_secs(2);

/// Where nobody knows how many will be counted: no more come once none has come for so long.
const LATE_WITHIN: Duration = Duration::from_secs(5);

/// Every link leads where it should; and of the clicks, so many at most are not counted. How many were not.
///
/// # Panics
/// When that is not so.
pub async fn check_but(client: &Client, ledger: &Ledger, lost_max: u64) -> u64 {
    let (answered, unanswered) = ledger.clicks();
    let counted = async || {
        let mut counted = 0;
        for target in &ledger.targets {
            let clicks = client.clicks(Some(&target.link.id)).await;
            assert!(clicks <= target.answered + target.unanswered, "{}: {clicks} counted", target.link.key);
            counted += clicks;
        }
        counted
    };
    let least = answered.saturating_sub(lost_max);
    wait::until(&format!("{least} clicks counted"), COUNTED_WITHIN, async || (counted().await >= least).then_some(()))
        .await;
    // What comes late still comes.
    let mut last = counted().await;
    loop {
        sleep(LATE_WITHIN).await;
        let now = counted().await;
        if now == last {
            break;
        }
        last = now;
    }
    check_links(client, ledger).await;
    say(&format!("{}; {last} clicks counted", ledger.summary()));
    (answered + unanswered).saturating_sub(last)
}

async fn check_links(client: &Client, ledger: &Ledger) {
    for (key, url) in &ledger.made {
        let answer = client.peek(key).await;
        assert_eq!((answer.status, answer.header("location")), (302, Some(url.as_str())), "{key}");
    }
}

/// Every link leads where it should, and every click is counted exactly once; one that was sent and not answered, at most once.
///
/// # Panics
/// When that is not so.
pub async fn check(client: &Client, ledger: &Ledger) {
    for target in &ledger.targets {
        let (key, least) = (&target.link.key, target.answered);
        wait::until(&format!("{least} clicks of {key} counted"), COUNTED_WITHIN, async || {
            (client.clicks(Some(&target.link.id)).await >= least).then_some(())
        })
        .await;
    }
    sleep(SURPLUS_WITHIN).await;
    let mut counted = 0;
    for target in &ledger.targets {
        let clicks = client.clicks(Some(&target.link.id)).await;
        let range = target.answered..=target.answered + target.unanswered;
        assert!(range.contains(&clicks), "{}: {clicks} counted, {range:?} expected", target.link.key);
        counted += clicks;
    }
    check_links(client, ledger).await;
    say(&format!("{}; {counted} clicks counted", ledger.summary()));
}
