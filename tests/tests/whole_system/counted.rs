//! Whether what was answered is counted.

use std::{
    io::{Write, stderr},
    time::Duration,
};

use septet_tests::{client::Client, system::System, wait};
use serde_json::Value;
use tokio::{
    sync::{Mutex, MutexGuard},
    time::sleep,
};

use crate::load::{Ledger, browsers};

/// Whatever a link's clicks are grouped by, they are the same clicks.
const GROUPS: [&str; 8] = ["timeseries", "countries", "regions", "cities", "devices", "browsers", "os", "referers"];

/// How long it may take until all is up again, and counted.
const CAUGHT_UP_WITHIN: Duration = Duration::from_secs(180);

/// The whole system, alone on this machine: one at a time is enough of it.
pub async fn start() -> (MutexGuard<'static, ()>, System) {
    static TURN: Mutex<()> = Mutex::const_new(());
    let turn = TURN.lock().await;
    let system = tokio::task::block_in_place(|| System::start(say));
    up(&system).await;
    (turn, system)
}

/// Waits until every service is ready.
pub async fn up(system: &System) {
    wait::until("everything is ready", CAUGHT_UP_WITHIN, async || system.is_ready().then_some(())).await;
}

/// What was answered is there, and counted: for each link, for each browser, and altogether; and exactly that, where every click was answered.
pub async fn check(client: &Client, ledger: &Ledger) {
    let (answered, unanswered) = ledger.clicks();
    wait::until("all clicks counted", CAUGHT_UP_WITHIN, async || {
        let counted = asked(client, "count", None).await?["clicks"].as_u64();
        counted.filter(|counted| *counted >= answered)
    })
    .await;
    // What is counted too much would come a little later.
    sleep(Duration::from_secs(3)).await;
    let all = people(client, None).await;
    assert!(
        (answered..=answered + unanswered).contains(&all),
        "{all} counted, {answered} answered and {unanswered} not"
    );
    let mut by_link = 0;
    let top_links = answer(client, "top_links", None).await;
    for (link, clicks) in &ledger.targets {
        let counted = people(client, Some(&link.id)).await;
        by_link += counted;
        let least: u64 = clicks.answered.iter().sum();
        let most = least + clicks.unanswered.iter().sum::<u64>();
        assert!((least..=most).contains(&counted), "{}: {counted} counted, {clicks:?}", link.key);
        assert_eq!(of(&top_links, "id", &link.id), counted, "{} among all links", link.key);
        for group_by in GROUPS {
            let rows = answer(client, group_by, Some(&link.id)).await;
            assert_eq!(sum(&rows), counted, "{} by {group_by}: {rows}", link.key);
        }
        let by_browser = answer(client, "browsers", Some(&link.id)).await;
        for (place, browser) in browsers().into_iter().enumerate() {
            let counted = of(&by_browser, "browser", browser);
            let (least, most) = (clicks.answered[place], clicks.answered[place] + clicks.unanswered[place]);
            assert!((least..=most).contains(&counted), "{} by {browser}: {counted} counted, {clicks:?}", link.key);
        }
    }
    assert_eq!(by_link, all, "over all links");
    for group_by in GROUPS {
        let rows = answer(client, group_by, None).await;
        assert_eq!(sum(&rows), all, "all links by {group_by}: {rows}");
    }
    let exact = ledger.targets.iter().filter(|(_, clicks)| clicks.unanswered.iter().all(|count| *count == 0)).count();
    say(&format!("{exact} of {} links had every click answered", ledger.targets.len()));
    for (key, url) in &ledger.urls {
        let answer = client.peek(key).await;
        assert_eq!((answer.status, answer.header("location")), (302, Some(url.as_str())), "{key}");
    }
}

async fn people(client: &Client, link: Option<&str>) -> u64 {
    clicks(&answer(client, "count", link).await)
}

/// The answer to a question about all of the time, however busy everything is after what has happened.
async fn answer(client: &Client, group_by: &str, link: Option<&str>) -> Value {
    wait::until("an answer", CAUGHT_UP_WITHIN, async || asked(client, group_by, link).await).await
}

pub async fn asked(client: &Client, group_by: &str, link: Option<&str>) -> Option<Value> {
    let mut query = vec![("event", "clicks"), ("groupBy", group_by), ("interval", "all")];
    query.extend(link.map(|id| ("linkId", id)));
    query.extend((group_by == "top_links").then_some(("limit", "1000")));
    let answer = client.get("/analytics", &query).await;
    (answer.status != 503).then(|| answer.ok())
}

/// The clicks of the row whose field has this value.
fn of(rows: &Value, field: &str, value: &str) -> u64 {
    rows.as_array().expect("a list").iter().filter(|row| row[field] == value).map(clicks).sum()
}

fn sum(rows: &Value) -> u64 {
    rows.as_array().expect("a list").iter().map(clicks).sum()
}

fn clicks(row: &Value) -> u64 {
    row["clicks"].as_u64().expect("a number")
}

pub fn say(what: &str) {
    writeln!(stderr(), "whole system: {what}").expect("standard error takes it");
}
