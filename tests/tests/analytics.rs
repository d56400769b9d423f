//! Questions about clicks, in the shape that client programs know.

use std::time::Duration;

use reqwest::Method;
use septet_tests::{
    browser::{BOT_USER_AGENT, USER_AGENT},
    client::{Client, send},
    septet::fresh,
    wait,
};
use serde_json::{Value, json};

/// Opens `key` with these headers alone.
async fn open(client: &Client, key: &str, headers: &[(&str, &str)]) {
    let request = client.plain(Method::GET, &format!("/{key}"));
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    assert_eq!(send(request).await.status, 302);
}

async fn ask(client: &Client, group: &str, more: &[(&str, &str)]) -> Value {
    let mut query = vec![("event", "clicks"), ("groupBy", group)];
    query.extend(more);
    for (name, value) in [("interval", "24h"), ("timezone", "UTC")] {
        if !query.iter().any(|(given, _)| *given == name) {
            query.push((name, value));
        }
    }
    client.get("/analytics", &query).await.ok()
}

async fn counted(client: &Client, clicks: u64) {
    wait::until("all clicks counted", Duration::from_secs(5), async || {
        (client.clicks(None).await == clicks).then_some(())
    })
    .await;
}

/// Seen to fail when a click was recorded twice, when none was, and when bots were counted as people.
#[tokio::test(flavor = "multi_thread")]
async fn clicks_are_told_apart_by_what_the_browser_says() {
    let (_dir, septet, client) = fresh();
    let link = client.link_to("https://example.com/1").await;
    let other = client.link_to("https://example.com/2").await;
    let phone = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) \
                 Version/17.5 Mobile/15E148 Safari/604.1";
    for _ in 0..2 {
        open(&client, &link.key, &[("User-Agent", USER_AGENT), ("Referer", "https://news.example.co.uk/a")]).await;
    }
    open(&client, &link.key, &[("User-Agent", phone)]).await;
    open(&client, &other.key, &[("User-Agent", USER_AGENT)]).await;
    open(&client, &other.key, &[("User-Agent", BOT_USER_AGENT)]).await;
    counted(&client, 4).await;

    let count = ask(&client, "count", &[]).await;
    for (name, value) in [("clicks", 4), ("leads", 0), ("sales", 0), ("saleAmount", 0)] {
        assert_eq!(count[name], value, "{count}");
    }
    assert!(count["uniqueVisitors"].as_u64().is_some_and(|visitors| (2..=4).contains(&visitors)), "{count}");
    for (bots, clicks) in [("exclude", 4), ("include", 5), ("only", 1)] {
        assert_eq!(ask(&client, "count", &[("bots", bots)]).await["clicks"], clicks, "bots={bots}");
    }
    let of_link = [("linkId", link.id.as_str())];
    let values = async |group: &str, name: &str| -> Vec<(String, u64)> {
        let rows = ask(&client, group, &of_link).await;
        let row = |row: &Value| (row[name].as_str().unwrap().to_owned(), row["clicks"].as_u64().unwrap());
        rows.as_array().unwrap().iter().map(row).collect()
    };
    let pairs = |pairs: [(&str, u64); 2]| pairs.map(|(name, clicks)| (name.to_owned(), clicks));
    assert_eq!(values("browsers", "browser").await, pairs([("Chrome", 2), ("Safari", 1)]));
    assert_eq!(values("os", "os").await, pairs([("Windows", 2), ("iOS", 1)]));
    assert_eq!(values("devices", "device").await, pairs([("Desktop", 2), ("Mobile", 1)]));
    assert_eq!(values("referers", "referer").await, pairs([("example.co.uk", 2), ("(direct)", 1)]));

    let top = ask(&client, "top_links", &[]).await;
    let top: Vec<_> = top.as_array().unwrap().iter().map(|row| (row["id"].clone(), row["clicks"].clone())).collect();
    assert_eq!(top, [(json!(link.id), json!(3)), (json!(other.id), json!(1))]);
    septet.stop();
}

/// Seen to fail when a click was recorded twice, and when none was.
#[tokio::test(flavor = "multi_thread")]
async fn a_time_series_has_every_step_zeros_included() {
    let (_dir, septet, client) = fresh();
    let link = client.link_to("https://example.com/").await;
    open(&client, &link.key, &[("User-Agent", USER_AGENT)]).await;
    counted(&client, 1).await;
    for (interval, steps) in [("24h", 24..=25), ("7d", 7..=8), ("30d", 30..=31), ("1y", 12..=13)] {
        let series = ask(&client, "timeseries", &[("interval", interval), ("timezone", "Australia/Eucla")]).await;
        let series = series.as_array().unwrap();
        assert!(steps.contains(&series.len()), "{interval}: {}", series.len());
        assert!(series.iter().all(|step| step["start"].is_string()), "{series:?}");
        assert_eq!(series.iter().map(|step| step["clicks"].as_u64().unwrap()).sum::<u64>(), 1, "{interval}");
    }
    septet.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_nobody_opened_has_no_clicks() {
    let (_dir, septet, client) = fresh();
    let link = client.link_to("https://example.com/").await;
    assert_eq!(client.clicks(Some(&link.id)).await, 0);
    assert_eq!(ask(&client, "browsers", &[("linkId", link.id.as_str())]).await, json!([]));
    assert_eq!(ask(&client, "countries", &[]).await, json!([]));
    septet.stop();
}
