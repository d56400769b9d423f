//! Whether what was answered is counted.

use std::{
    io::{Write, stderr},
    time::Duration,
};

use septet_tests::{client::Client, system::System, wait};
use serde_json::Value;
use tokio::time::sleep;

use crate::load::{Ledger, browsers};

/// How long it may take until all is up again, and counted.
const CAUGHT_UP_WITHIN: Duration = Duration::from_secs(180);

/// Waits until every service is ready.
pub async fn up(system: &System) {
    wait::until("everything is ready", CAUGHT_UP_WITHIN, async || system.is_ready().then_some(())).await;
}

/// What was answered is there, and counted: for each link, for each browser, and altogether.
pub async fn check(client: &Client, ledger: &Ledger) {
    let (answered, unanswered) = ledger.clicks();
    wait::until("all clicks counted", CAUGHT_UP_WITHIN, async || (client.clicks(None).await >= answered).then_some(()))
        .await;
    // What is counted too much would come a little later.
    sleep(Duration::from_secs(3)).await;
    let all = client.clicks(None).await;
    assert!(
        (answered..=answered + unanswered).contains(&all),
        "{all} counted, {answered} answered and {unanswered} not"
    );
    let mut by_link = 0;
    for (link, clicks) in &ledger.targets {
        let counted = client.clicks(Some(&link.id)).await;
        by_link += counted;
        let least: u64 = clicks.answered.iter().sum();
        let most = least + clicks.unanswered.iter().sum::<u64>();
        assert!((least..=most).contains(&counted), "{}: {counted} counted, {clicks:?}", link.key);
        let query = [("event", "clicks"), ("groupBy", "browsers"), ("interval", "all"), ("linkId", link.id.as_str())];
        let by_browser = client.get("/analytics", &query).await.ok();
        for (place, browser) in browsers().into_iter().enumerate() {
            let counted = of_browser(&by_browser, browser);
            let (least, most) = (clicks.answered[place], clicks.answered[place] + clicks.unanswered[place]);
            assert!((least..=most).contains(&counted), "{} by {browser}: {counted} counted, {clicks:?}", link.key);
        }
    }
    assert_eq!(by_link, all, "over all links");
    for (key, url) in &ledger.urls {
        let answer = client.peek(key).await;
        assert_eq!((answer.status, answer.header("location")), (302, Some(url.as_str())), "{key}");
    }
}

fn of_browser(rows: &Value, browser: &str) -> u64 {
    let rows = rows.as_array().expect("a list");
    let row = rows.iter().find(|row| row["browser"] == browser);
    row.map_or(0, |row| row["clicks"].as_u64().expect("a number"))
}

pub fn say(what: &str) {
    writeln!(stderr(), "whole system: {what}").expect("standard error takes it");
}
