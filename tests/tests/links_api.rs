//! The links API: what is made is found, changed, listed and deleted, and the redirects follow at once.

use std::time::{Duration, SystemTime};

use reqwest::Method;
use septet_tests::{
    client::{self, Client},
    septet::{DOMAIN, fresh},
    wait,
};
use serde_json::{Value, json};

/// Fields that hold a string in every link.
const STRINGS: &[&str] =
    &["id", "domain", "key", "url", "shortLink", "qrCode", "workspaceId", "projectId", "createdAt", "updatedAt"];

/// Fields that are there in every link, and null in one that was made of a URL alone.
const NULLS: &[&str] = &[
    "externalId",
    "tenantId",
    "programId",
    "partnerId",
    "expiresAt",
    "expiredUrl",
    "disabledAt",
    "password",
    "title",
    "description",
    "image",
    "video",
    "ios",
    "android",
    "geo",
    "folderId",
    "comments",
    "utm_source",
    "utm_medium",
    "utm_campaign",
    "utm_term",
    "utm_content",
    "userId",
    "lastClicked",
    "tagId",
];

const BOOLEANS: &[&str] = &["trackConversion", "archived", "proxy", "rewrite", "doIndex", "publicStats"];

const NUMBERS: &[&str] = &["clicks", "leads", "conversions", "sales", "saleAmount"];

/// Opens `key` and returns where it leads.
async fn location(client: &Client, key: &str) -> Option<String> {
    let opened = client.open(key).await;
    (opened.status == 302).then(|| opened.header("location").expect("a redirect leads somewhere").to_owned())
}

fn in_the_future(ahead: Duration) -> String {
    let at = jiff::Timestamp::try_from(SystemTime::now() + ahead).unwrap();
    at.to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_has_its_complete_shape() {
    let (_dir, septet, client) = fresh();
    let link = client.create(&json!({ "url": "https://example.com" })).await.ok();
    for name in STRINGS {
        assert!(link[name].as_str().is_some_and(|text| !text.is_empty()), "{name}: {link}");
    }
    for name in NULLS {
        assert_eq!(link.get(name), Some(&Value::Null), "{name}: {link}");
    }
    for name in BOOLEANS {
        assert_eq!(link[name], false, "{name}: {link}");
    }
    for name in NUMBERS {
        assert_eq!(link[name], 0, "{name}: {link}");
    }
    for name in ["tags", "webhookIds"] {
        assert!(matches!(&link[name], Value::Array(_) | Value::Null), "{name}: {link}");
    }
    assert!(link["createdAt"].as_str().unwrap().parse::<jiff::Timestamp>().is_ok(), "{link}");
    assert_eq!(client.by_id(link["id"].as_str().unwrap()).await.ok(), link);
    septet.stop();
}

/// Seen to fail when answers of the API said nothing of caches.
#[tokio::test(flavor = "multi_thread")]
async fn no_cache_on_the_way_keeps_an_answer() {
    let (_dir, septet, client) = fresh();
    let link = client.link_to("https://example.com").await;
    let stranger = Client::new(septet.listen, "nobodys-key-but-long-enough");
    for answer in [client.by_id(&link.id).await, client.by_id("link_nowhere").await, stranger.by_id(&link.id).await] {
        assert_eq!(answer.header("cache-control"), Some("private, no-store"), "{answer:?}");
    }
    septet.stop();
}

/// Seen to fail when `ext_` was not understood.
#[tokio::test(flavor = "multi_thread")]
async fn a_link_is_found_by_each_of_its_names() {
    let (_dir, septet, client) = fresh();
    let made = client.create(&json!({ "url": "https://example.com", "externalId": "order-17" })).await.link();
    let ways: [&[(&str, &str)]; 3] =
        [&[("linkId", &made.id)], &[("externalId", "order-17")], &[("domain", DOMAIN), ("key", &made.key)]];
    for way in ways {
        assert_eq!(client.get("/links/info", way).await.link(), made, "{way:?}");
    }
    // The clients put `ext_` before an external id where there is but one place for an id.
    assert_eq!(client.by_id("ext_order-17").await.link(), made);
    client.by_id("nothing").await.error(404, "not_found");
    client.get("/links/info", &[("externalId", "order-18")]).await.error(404, "not_found");
    client.get("/links/info", &[("domain", DOMAIN), ("key", "no-such")]).await.error(404, "not_found");
    client.get("/links/info", &[]).await.error(422, "unprocessable_entity");
    septet.stop();
}

/// Seen to fail with `<=` in place of `<` at the cursor.
#[tokio::test(flavor = "multi_thread")]
async fn lists_go_from_the_newest_to_the_oldest_page_by_page() {
    let (_dir, septet, client) = fresh();
    let mut ids = Vec::new();
    for n in 0..5 {
        ids.insert(0, client.link_to(&format!("https://example.com/{n}")).await.id);
    }
    let page = async |query: &[(&str, &str)]| -> Vec<String> {
        client.get("/links", query).await.links().into_iter().map(|link| link.id).collect()
    };
    assert_eq!(page(&[]).await, ids);
    assert_eq!(page(&[("showArchived", "false"), ("withTags", "false")]).await, ids);
    assert_eq!(page(&[("pageSize", "2")]).await, ids[..2]);
    assert_eq!(page(&[("pageSize", "2"), ("startingAfter", &ids[1])]).await, ids[2..4]);
    assert_eq!(page(&[("pageSize", "2"), ("startingAfter", &ids[3])]).await, ids[4..]);
    assert_eq!(page(&[("pageSize", "2"), ("startingAfter", &ids[4])]).await, ids[..0]);
    assert_eq!(page(&[("pageSize", "2"), ("endingBefore", &ids[3])]).await, ids[1..3]);
    assert_eq!(page(&[("pageSize", "2"), ("endingBefore", &ids[0])]).await, ids[..0]);
    assert_eq!(client.count().await, 5);
    septet.stop();
}

/// Seen to fail when a change did not invalidate the old key, when it did not invalidate the new one, when a deletion
/// did not, and when a code was looked up by its id alone.
#[tokio::test(flavor = "multi_thread")]
async fn a_change_shows_on_the_redirect_at_once() {
    let (_dir, septet, client) = fresh();
    let link = client.link_to("https://example.com/old").await;
    assert_eq!(location(&client, &link.key).await.as_deref(), Some("https://example.com/old"));

    let changed = client.change(&link.id, &json!({ "url": "https://example.com/new" })).await.link();
    assert_eq!((changed.id.as_str(), changed.url.as_str()), (link.id.as_str(), "https://example.com/new"));
    assert_eq!(location(&client, &link.key).await.as_deref(), Some("https://example.com/new"));

    assert_eq!(client.open("named").await.status, 404);
    let named = client.change(&link.id, &json!({ "key": "named", "externalId": "e-1" })).await.link();
    assert_eq!((named.key.as_str(), named.external_id.as_deref()), ("named", Some("e-1")));
    assert_eq!(location(&client, "named").await.as_deref(), Some("https://example.com/new"));
    assert_eq!(client.open(&link.key).await.status, 404, "the old key leads nowhere");

    let cleared = client.change("ext_e-1", &json!({ "externalId": null })).await.link();
    assert_eq!((cleared.id.as_str(), cleared.external_id), (link.id.as_str(), None));
    client.get("/links/info", &[("externalId", "e-1")]).await.error(404, "not_found");

    assert_eq!(location(&client, "named").await.as_deref(), Some("https://example.com/new"), "it is cached again");
    assert_eq!(client.delete(&link.id).await.ok()["id"], link.id);
    assert_eq!(client.open("named").await.status, 404);
    client.by_id(&link.id).await.error(404, "not_found");
    client.delete(&link.id).await.error(404, "not_found");
    client.change(&link.id, &json!({ "title": "x" })).await.error(404, "not_found");
    assert_eq!(client.count().await, 0);
    septet.stop();
}

/// Seen to fail when an absent field was cleared.
#[tokio::test(flavor = "multi_thread")]
async fn a_change_touches_what_it_names_and_null_clears() {
    let (_dir, septet, client) = fresh();
    let expires_at = in_the_future(Duration::from_secs(3600));
    let full = json!({
        "url": "https://example.com", "title": "A title", "comments": "For us", "expiresAt": expires_at,
        "expiredUrl": "https://example.com/over", "externalId": "e-2",
    });
    let made = client.create(&full).await.ok();
    let id = made["id"].as_str().unwrap();
    for field in ["title", "comments", "expiredUrl", "externalId"] {
        assert_eq!(made[field], full[field], "{made}");
    }
    let expires = made["expiresAt"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    assert_eq!(expires.as_millisecond(), expires_at.parse::<jiff::Timestamp>().unwrap().as_millisecond());

    let mut expected = made.clone();
    let clearings = ["title", "comments", "expiresAt", "expiredUrl", "externalId"].map(|field| (field, Value::Null));
    for (field, value) in [("archived", json!(true))].into_iter().chain(clearings) {
        let mut changed = client.change(id, &json!({ field: value })).await.ok();
        expected[field] = value;
        changed["updatedAt"] = expected["updatedAt"].clone();
        assert_eq!(changed, expected, "changing {field}");
    }
    septet.stop();
}

/// Seen to fail when archived links were listed.
#[tokio::test(flavor = "multi_thread")]
async fn an_archived_link_leads_on_and_leaves_the_lists() {
    let (_dir, septet, client) = fresh();
    let kept = client.link_to("https://example.com/kept").await;
    let archived = client.link_to("https://example.com/archived").await;
    assert!(client.change(&archived.id, &json!({ "archived": true })).await.link().archived);
    assert_eq!(location(&client, &archived.key).await, Some(archived.url));

    let ids = async |query: &[(&str, &str)]| -> Vec<String> {
        client.get("/links", query).await.links().into_iter().map(|link| link.id).collect()
    };
    assert_eq!(ids(&[]).await, [kept.id.as_str()]);
    assert_eq!(ids(&[("showArchived", "true")]).await, [archived.id.as_str(), kept.id.as_str()]);
    assert_eq!(client.count().await, 1);
    assert_eq!(client.get("/links/count", &[("showArchived", "true")]).await.ok(), 2);
    septet.stop();
}

/// Seen to fail when aliases kept their case, and when they were not normalised.
#[tokio::test(flavor = "multi_thread")]
async fn an_alias_is_one_whatever_its_case_and_encoding() {
    let (_dir, septet, client) = fresh();
    let link = client.create(&json!({ "url": "https://example.com/sale", "key": "Summer-Sale" })).await.link();
    assert_eq!(link.key, "summer-sale");
    for spelling in ["summer-sale", "SUMMER-SALE", "Summer%2DSale"] {
        assert_eq!(location(&client, spelling).await.as_deref(), Some("https://example.com/sale"), "{spelling}");
    }

    // ö as one character in upper case, as it came, and as o with a combining diaeresis.
    let link = client.create(&json!({ "url": "https://example.com/groesse", "key": "GRÖ-1" })).await.link();
    assert_eq!(link.key, "grö-1");
    for spelling in ["gr%C3%B6-1", "GR%C3%96-1", "gro%CC%88-1", "gr%c3%b6-1"] {
        assert_eq!(location(&client, spelling).await.as_deref(), Some("https://example.com/groesse"), "{spelling}");
    }
    let found = client.get("/links/info", &[("domain", DOMAIN), ("key", "Grö-1")]).await.link();
    assert_eq!(found.id, link.id);
    let decomposed = json!({ "url": "https://example.com", "key": "gro\u{308}-1" });
    client.create(&decomposed).await.error(409, "conflict");
    septet.stop();
}

/// Seen to fail when a creation did not invalidate what was believed absent.
#[tokio::test(flavor = "multi_thread")]
async fn a_code_keeps_its_case() {
    let (_dir, septet, client) = fresh();
    let link = client.link_to("https://example.com/code").await;
    assert_eq!(location(&client, &link.key).await.as_deref(), Some("https://example.com/code"));
    assert_eq!(client.open(&link.key.to_lowercase()).await.status, 404);

    // An alias of the same letters is another link: neither hides the other.
    let alias = json!({ "url": "https://example.com/alias", "key": link.key.to_lowercase() });
    client.create(&alias).await.link();
    assert_eq!(location(&client, &link.key.to_lowercase()).await.as_deref(), Some("https://example.com/alias"));
    assert_eq!(location(&client, &link.key).await.as_deref(), Some("https://example.com/code"));
    septet.stop();
}

/// Seen to fail when caches were left to keep permanent redirects.
#[tokio::test(flavor = "multi_thread")]
async fn a_link_leads_with_the_status_it_was_given() {
    let (_dir, septet, client) = fresh();
    for status in [301, 302, 307, 308] {
        let link = client.create(&json!({ "url": "https://example.com/", "redirectStatus": status })).await;
        assert_eq!(link.ok()["redirectStatus"], status);
        let opened = client.open(&link.link().key).await;
        assert_eq!((opened.status, opened.header("location")), (status, Some("https://example.com/")));
        assert_eq!(opened.header("cache-control"), Some("private, no-store"), "{status}");
    }
    septet.stop();
}

/// Seen to fail when the time of expiry was not looked at.
#[tokio::test(flavor = "multi_thread")]
async fn an_expired_link_leads_to_its_other_url_or_is_gone() {
    let (_dir, septet, client) = fresh();
    let soon = in_the_future(Duration::from_millis(1500));
    let gone = json!({ "url": "https://example.com/a", "expiresAt": soon });
    let gone = client.create(&gone).await.link();
    let moved = json!({ "url": "https://example.com/b", "expiresAt": soon, "expiredUrl": "https://example.com/over" });
    let moved = client.create(&moved).await.link();
    assert_eq!(client.open(&moved.key).await.header("location"), Some("https://example.com/b"));

    wait::until("expired", Duration::from_secs(4), async || (client.open(&gone.key).await.status == 410).then_some(()))
        .await;
    assert_eq!(location(&client, &moved.key).await.as_deref(), Some("https://example.com/over"));

    let later = in_the_future(Duration::from_secs(3600));
    client.change(&gone.id, &json!({ "expiresAt": later })).await.ok();
    assert_eq!(location(&client, &gone.key).await.as_deref(), Some("https://example.com/a"));
    client.change(&gone.id, &json!({ "expiresAt": "2020-01-01T00:00:00Z" })).await.ok();
    assert_eq!(client.open(&gone.key).await.status, 410, "a time in the past ends it at once");
    septet.stop();
}

/// Seen to fail when the key was ignored, and when requests were not compared.
#[tokio::test(flavor = "multi_thread")]
async fn the_same_idempotency_key_makes_one_link() {
    let (_dir, septet, client) = fresh();
    let post = async |key: &str, body: Value| {
        client::send(client.api(Method::POST, "/links").header("Idempotency-Key", key).json(&body)).await
    };
    let body = json!({ "url": "https://example.com/once" });
    let first = post("k-1", body.clone()).await.link();
    assert_eq!(post("k-1", body.clone()).await.link(), first);
    assert_ne!(post("k-2", body).await.link().id, first.id);
    post("k-1", json!({ "url": "https://example.com/twice" })).await.error(422, "unprocessable_entity");
    assert_eq!(client.count().await, 2);
    septet.stop();
}

/// Seen to fail when it was kept as given.
#[tokio::test(flavor = "multi_thread")]
async fn a_destination_is_kept_as_its_parsed_form() {
    let (_dir, septet, client) = fresh();
    let forms = [
        ("HTTPS://Example.COM", "https://example.com/"),
        ("https://example.com:443/a/../b", "https://example.com/b"),
        ("https://bücher.example/ä?q=ö", "https://xn--bcher-kva.example/%C3%A4?q=%C3%B6"),
    ];
    for (given, kept) in forms {
        let link = client.link_to(given).await;
        assert_eq!(link.url, kept);
        assert_eq!(location(&client, &link.key).await.as_deref(), Some(kept));
    }
    septet.stop();
}
