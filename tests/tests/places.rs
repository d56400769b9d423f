//! Where clicks come from: the client's address behind proxies, its country by an MMDB file or by a CDN.

use std::{path::PathBuf, time::Duration};

use reqwest::Method;
use septet_tests::{
    browser::USER_AGENT,
    client::{Client, send},
    septet::{Septet, Setup},
    wait,
};
use tempfile::TempDir;

/// Addresses that the test MMDB file knows.
const BRITISH: &str = "81.2.69.160";
const JAPANESE: &str = "2001:218::1";

fn geoip_db() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../analytics/tests/data/GeoIP2-City-Test.mmdb")
}

fn start(flags: &[(&str, &str)]) -> (TempDir, Septet, Client) {
    let dir = tempfile::tempdir().unwrap();
    let setup = Setup::new(dir.path()).flag("--geoip-db", geoip_db());
    let setup = flags.iter().fold(setup, |setup, (flag, value)| setup.flag(flag, *value));
    let septet = setup.start();
    let client = septet.client();
    (dir, septet, client)
}

/// Opens a link with these headers, and says to which country the click was put down.
async fn country_of(client: &Client, headers: &[(&str, &str)]) -> String {
    let link = client.link_to("https://example.com/").await;
    let request = client.plain(Method::GET, &format!("/{}", link.key)).header("User-Agent", USER_AGENT);
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    assert_eq!(send(request).await.status, 302);
    wait::until("the click counted", Duration::from_secs(5), async || {
        let query = [("groupBy", "countries"), ("linkId", link.id.as_str()), ("interval", "24h")];
        let countries = client.get("/analytics", &query).await.ok();
        countries[0]["country"].as_str().map(str::to_owned)
    })
    .await
}

/// Seen to fail when the first line of the header was read alone.
#[tokio::test(flavor = "multi_thread")]
async fn an_address_is_believed_as_far_as_the_proxies_are() {
    let (_dir, _septet, client) = start(&[("--trusted-proxies", "127.0.0.0/8,198.51.100.0/24")]);
    let forged_then_added = format!("{JAPANESE}, {BRITISH}");
    assert_eq!(country_of(&client, &[("X-Forwarded-For", BRITISH)]).await, "GB");
    assert_eq!(country_of(&client, &[("X-Forwarded-For", &forged_then_added)]).await, "GB");
    assert_eq!(country_of(&client, &[("X-Forwarded-For", JAPANESE), ("X-Forwarded-For", BRITISH)]).await, "GB");
    let through_two = format!("{BRITISH}, 198.51.100.7");
    assert_eq!(country_of(&client, &[("X-Forwarded-For", &through_two)]).await, "GB");
    let padded = format!("{}{BRITISH}", "10.0.0.1, ".repeat(200));
    assert_eq!(country_of(&client, &[("X-Forwarded-For", &padded)]).await, "GB");
}

/// Seen to fail when the header was believed from everybody.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_believed_who_is_not_trusted() {
    let (_dir, _septet, client) = start(&[("--trusted-proxies", "10.0.0.0/8"), ("--country-header", "CF-IPCountry")]);
    assert_eq!(country_of(&client, &[("X-Forwarded-For", BRITISH)]).await, "Unknown");
    assert_eq!(country_of(&client, &[("CF-IPCountry", "JP")]).await, "Unknown");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cdn_names_the_country() {
    let (_dir, _septet, client) = start(&[("--country-header", "CF-IPCountry")]);
    assert_eq!(country_of(&client, &[("CF-IPCountry", "JP")]).await, "JP");
    assert_eq!(country_of(&client, &[("CF-IPCountry", "XX")]).await, "Unknown");
    assert_eq!(country_of(&client, &[]).await, "Unknown");
}
