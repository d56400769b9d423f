//! Bad input: each entry of these tables gets a 4xx that says what is wrong, and changes nothing.

use reqwest::{Method, RequestBuilder};
use septet_tests::{
    client::{Answer, Client, send},
    raw,
    septet::{API_KEY, DOMAIN, Septet, fresh},
};
use serde_json::{Value, json};

/// Everything a request could have changed: every link in full, and how many clicks there are.
async fn everything(client: &Client) -> (Value, u64) {
    (client.get("/links", &[("showArchived", "true"), ("pageSize", "100")]).await.ok(), client.clicks(None).await)
}

/// A `septet` with one link whose alias is `taken`, and all that is there.
async fn with_a_link() -> (tempfile::TempDir, Septet, Client, String, (Value, u64)) {
    let (dir, septet, client) = fresh();
    let body = json!({ "url": "https://example.com/", "key": "taken", "externalId": "e-taken", "title": "Kept" });
    let link = client.create(&body).await.link();
    let before = everything(&client).await;
    (dir, septet, client, link.id, before)
}

/// Values of one field that no link may have, in creation and change alike.
fn bad_fields() -> Vec<(&'static str, Value)> {
    let long_url = format!("https://example.com/{}", "a".repeat(32_000));
    let own_link = format!("http://{DOMAIN}/taken");
    let mut fields = Vec::new();
    let urls = [
        "",
        "example.com",
        "/path",
        "//example.com/",
        "javascript:alert(1)",
        "JaVaScRiPt:alert(1)",
        "data:text/html,x",
        "ftp://example.com/",
        "file:///etc/passwd",
        "mailto:a@example.com",
        "http://",
        "https:///path",
        "http://:80/",
        "https://user:secret@example.com/",
        "https://user@example.com/",
        "https://example.com/\r\nSet-Cookie: a=b",
        "https://example.com/\0",
        "https://exa\tmple.com/",
        "https://example.com:99999/",
        &long_url,
        &own_link,
    ];
    fields.extend(urls.map(|url| ("url", json!(url))));
    fields.extend([json!(5), json!(["https://example.com"]), json!({}), json!(true)].map(|value| ("url", value)));

    let long_key = "k".repeat(191);
    let keys =
        ["", &long_key, "a b", "a\r\nb", "a\0b", "a\u{7f}b", "a?b", "a#b", "..", "api", "robots.txt", "favicon.ico"];
    fields.extend(keys.map(|key| ("key", json!(key))));
    fields.push(("key", json!(7)));

    fields.extend([json!("e".repeat(256)), json!(17), json!("a\0b")].map(|value| ("externalId", value)));
    let times = [json!("tomorrow"), json!("2030-13-01T00:00:00Z"), json!(true)];
    fields.extend(times.map(|value| ("expiresAt", value)));
    fields.extend([json!("javascript:alert(1)"), json!("nowhere"), json!(1)].map(|value| ("expiredUrl", value)));
    fields.extend([json!(5), json!(["a"])].map(|value| ("title", value)));
    fields.push(("comments", json!({})));
    fields.extend([json!("yes"), json!(1)].map(|value| ("archived", value)));
    fields.extend([json!(200), json!(303), json!("302"), json!(-1)].map(|value| ("redirectStatus", value)));
    fields.push(("domain", json!("other.example")));
    fields.push(("noSuchField", json!(1)));
    fields
}

/// Fields that Dub has and Septet has no feature for, set to something.
fn unsupported_fields() -> Vec<(&'static str, Value)> {
    let url = "https://example.com/";
    vec![
        ("prefix", json!("p")),
        ("keyLength", json!(12)),
        ("tenantId", json!("t")),
        ("programId", json!("p")),
        ("partnerId", json!("p")),
        ("tagIds", json!(["t"])),
        ("tagNames", json!(["t"])),
        ("folderId", json!("f")),
        ("trackConversion", json!(true)),
        ("password", json!("secret")),
        ("proxy", json!(true)),
        ("description", json!("d")),
        ("image", json!(url)),
        ("video", json!(url)),
        ("rewrite", json!(true)),
        ("doIndex", json!(true)),
        ("ios", json!(url)),
        ("android", json!(url)),
        ("geo", json!({ "DE": url })),
        ("testVariants", json!([{ "url": url, "percentage": 50 }])),
        ("testStartedAt", json!("2030-01-01T00:00:00Z")),
        ("testCompletedAt", json!("2030-01-01T00:00:00Z")),
        ("utm_source", json!("s")),
        ("utm_medium", json!("m")),
        ("utm_campaign", json!("c")),
        ("utm_term", json!("t")),
        ("utm_content", json!("c")),
        ("ref", json!("r")),
        ("webhookIds", json!(["w"])),
    ]
}

/// Seen to fail when unknown fields were ignored, without the checks of scheme, loop, reserved keys and past times.
#[tokio::test(flavor = "multi_thread")]
async fn a_bad_field_is_named_at_creation() {
    let (_dir, septet, client, _, before) = with_a_link().await;
    // A link cannot be over before it begins; ending one that is there is another matter.
    let past = ("expiresAt", json!("2020-01-01T00:00:00Z"));
    for (field, value) in bad_fields().into_iter().chain(unsupported_fields()).chain([past]) {
        let mut body = json!({ "url": "https://example.com/" });
        body[field] = value.clone();
        let answer = client.create(&body).await;
        assert_eq!(answer.status, 422, "{field}: {value:.80}: {}", answer.text);
        let message = answer.error(422, "unprocessable_entity");
        assert!(message.contains(field), "{field}: {value:.80}: {message}");
    }
    let message = client.create(&json!({})).await.error(422, "unprocessable_entity");
    assert!(message.contains("url"), "{message}");
    client.create(&json!({ "url": null })).await.error(422, "unprocessable_entity");
    assert_eq!(everything(&client).await, before);
    septet.stop();
}

/// Seen to fail when unknown fields were ignored, without the checks of scheme, loop and reserved keys.
#[tokio::test(flavor = "multi_thread")]
async fn a_bad_field_is_named_at_a_change() {
    let (_dir, septet, client, id, before) = with_a_link().await;
    for (field, value) in bad_fields().into_iter().chain(unsupported_fields()) {
        // The good part of a bad change is not taken either.
        let answer = client.change(&id, &json!({ "title": "Changed", field: value })).await;
        if field == "title" {
            continue;
        }
        assert_eq!(answer.status, 422, "{field}: {value:.80}: {}", answer.text);
        let message = answer.error(422, "unprocessable_entity");
        assert!(message.contains(field), "{field}: {value:.80}: {message}");
    }
    client.change(&id, &json!({ "title": 5 })).await.error(422, "unprocessable_entity");
    assert_eq!(everything(&client).await, before);
    septet.stop();
}

/// Seen to fail when null alone asked for nothing.
#[tokio::test(flavor = "multi_thread")]
async fn an_unsupported_field_is_accepted_where_it_asks_for_nothing() {
    let (_dir, septet, client) = fresh();
    let mut nulls = json!({ "url": "https://example.com/", "key": null, "domain": null, "expiresAt": null });
    for (field, _) in unsupported_fields() {
        nulls[field] = Value::Null;
    }
    client.create(&nulls).await.link();
    let defaults = json!({
        "url": "https://example.com/", "domain": DOMAIN, "archived": false, "trackConversion": false, "proxy": false,
        "rewrite": false, "doIndex": false, "keyLength": 7, "tagIds": [], "tagNames": [],
    });
    client.create(&defaults).await.link();
    septet.stop();
}

/// Seen to fail when aliases kept their case, and when a change overwrote the links beside it.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_taken_is_a_conflict() {
    let (_dir, septet, client, id, _) = with_a_link().await;
    let other = client.link_to("https://example.com/other").await;
    let before = everything(&client).await;
    for key in ["taken", "TAKEN", "Taken", "%74aken"] {
        let answer = client.create(&json!({ "url": "https://example.com/", "key": key })).await;
        if key.contains('%') && answer.status == 422 {
            continue;
        }
        answer.error(409, "conflict");
    }
    client.create(&json!({ "url": "https://example.com/", "externalId": "e-taken" })).await.error(409, "conflict");
    client.change(&other.id, &json!({ "key": "Taken" })).await.error(409, "conflict");
    client.change(&other.id, &json!({ "externalId": "e-taken" })).await.error(409, "conflict");
    assert_eq!(everything(&client).await, before);
    // Its own names are no conflict.
    client.change(&id, &json!({ "key": "taken", "externalId": "e-taken" })).await.ok();
    septet.stop();
}

/// Seen to fail when any content type was read, and when of two values of a field the last one counted.
#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_none_is_refused() {
    let (_dir, septet, client, id, before) = with_a_link().await;
    let targets = [(Method::POST, "/links".to_owned()), (Method::PATCH, format!("/links/{id}"))];
    for (method, path) in targets {
        let request = || client.api(method.clone(), &path);
        let of_type = |kind: &str, body: &str| request().header("Content-Type", kind).body(body.to_owned());
        let json = "application/json";
        for body in ["", "{", "{\"url\":}", "{\"url\":\"https://example.com\"} trailing", "\u{feff}{}"] {
            send(of_type(json, body)).await.error(400, "bad_request");
        }
        send(request().header("Content-Type", json).body(b"{\"url\":\"https://example.com/\xff\"}".to_vec()))
            .await
            .error(400, "bad_request");
        for body in ["[]", "\"https://example.com\"", "5", "null"] {
            let answer = send(of_type(json, body)).await;
            assert!(matches!(answer.status, 400 | 422), "{body}: {}", answer.text);
        }
        let twice = r#"{"url":"https://example.com/1","url":"https://example.com/2"}"#;
        let answer = send(of_type(json, twice)).await;
        assert!(matches!(answer.status, 400 | 422), "a field twice: {}", answer.text);
        let deep = format!("{{\"url\":{}{}}}", "[".repeat(10_000), "]".repeat(10_000));
        let answer = send(of_type(json, &deep)).await;
        assert!(matches!(answer.status, 400 | 422), "nested deeply: {}", answer.text);
        for kind in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "nonsense"] {
            send(of_type(kind, r#"{"url":"https://example.com/"}"#)).await.error(415, "bad_request");
        }
        send(request().body(r#"{"url":"https://example.com/"}"#)).await.error(415, "bad_request");
    }
    assert_eq!(everything(&client).await, before);
    septet.stop();
}

/// Seen to fail when the announced length was not looked at.
#[tokio::test(flavor = "multi_thread")]
async fn a_body_over_the_limit_is_refused_by_its_length() {
    let (_dir, septet, client, _, before) = with_a_link().await;
    let head = format!(
        "POST /api/links HTTP/1.1\r\nHost: {DOMAIN}\r\nAuthorization: Bearer {API_KEY}\r\n\
         Content-Type: application/json\r\nContent-Length: 100000000\r\n\r\n{{\"url\":\""
    );
    let answer = raw::exchange(septet.listen, head.as_bytes()).unwrap();
    assert_eq!(answer.status, 413, "{}", String::from_utf8_lossy(&answer.body));
    let body: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(body["error"]["code"], "bad_request");
    assert_eq!(everything(&client).await, before);
    septet.stop();
}

/// Seen to fail when no key was asked for, when any key would do, and when the scheme could be left out.
#[tokio::test(flavor = "multi_thread")]
async fn without_the_api_key_nothing_is_told_or_done() {
    let (_dir, septet, client, id, before) = with_a_link().await;
    let keys = [None, Some("Bearer wrong-key-that-is-long-enough"), Some("Bearer "), Some("Basic YTpi"), Some(API_KEY)];
    for key in keys {
        let plain = |method: Method, path: &str| {
            let request = client.plain(method, path).json(&json!({ "url": "https://example.com/hacked" }));
            key.into_iter().fold(request, |request, key| request.header("Authorization", key))
        };
        let requests: [RequestBuilder; 7] = [
            plain(Method::POST, "/api/links"),
            plain(Method::GET, "/api/links"),
            plain(Method::GET, "/api/links/count"),
            plain(Method::GET, &format!("/api/links/info?linkId={id}")),
            plain(Method::PATCH, &format!("/api/links/{id}")),
            plain(Method::DELETE, &format!("/api/links/{id}")),
            plain(Method::GET, "/api/analytics?groupBy=count"),
        ];
        for request in requests {
            send(request).await.error(401, "unauthorized");
        }
    }
    assert_eq!(everything(&client).await, before);
    septet.stop();
}

/// Seen to fail when unknown parameters were ignored, and when any number of links could be asked for.
#[tokio::test(flavor = "multi_thread")]
async fn a_bad_question_is_refused() {
    let (_dir, septet, client, _, before) = with_a_link().await;
    let analytics = [
        ("timezone", "Mars/Olympus"),
        ("interval", "5h"),
        ("groupBy", "nonsense"),
        ("event", "nonsense"),
        ("start", "yesterday"),
        ("end", "2030-99-01"),
        ("noSuchFilter", "1"),
    ];
    for (name, value) in analytics {
        let message = client.get("/analytics", &[(name, value)]).await.error(422, "unprocessable_entity");
        assert!(message.contains(name), "{name}={value}: {message}");
    }
    let backwards = [("start", "2026-02-01T00:00:00Z"), ("end", "2026-01-01T00:00:00Z")];
    client.get("/analytics", &backwards).await.error(422, "unprocessable_entity");
    client.get("/analytics", &[("linkId", "nothing")]).await.error(404, "not_found");

    for (name, value) in [("pageSize", "0"), ("pageSize", "101"), ("pageSize", "many"), ("noSuchFilter", "1")] {
        let message = client.get("/links", &[(name, value)]).await.error(422, "unprocessable_entity");
        assert!(message.contains(name), "{name}={value}: {message}");
    }
    assert_eq!(everything(&client).await, before);
    septet.stop();
}

/// Seen to fail when a wrong method on a key was answered as an absent one.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_and_what_cannot_be_done_differ() {
    let (_dir, septet, client, id, before) = with_a_link().await;
    send(client.api(Method::GET, "/no-such-endpoint")).await.error(404, "not_found");
    client.change("nothing", &json!({ "title": "x" })).await.error(404, "not_found");
    client.delete("nothing").await.error(404, "not_found");
    client.delete("ext_nothing").await.error(404, "not_found");
    let wrong_methods = [
        client.api(Method::DELETE, "/links"),
        client.api(Method::POST, "/analytics"),
        client.api(Method::POST, "/links/info"),
        client.api(Method::POST, &format!("/links/{id}")),
        client.plain(Method::POST, "/taken"),
        client.plain(Method::DELETE, "/taken"),
    ];
    for request in wrong_methods {
        let shown = format!("{request:?}");
        let answer: Answer = send(request).await;
        assert_eq!(answer.status, 405, "{shown}: {}", answer.text);
    }
    assert_eq!(everything(&client).await, before);
    septet.stop();
}

/// Seen to fail when a path that no link can have was answered 503.
#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_are_no_request_harm_nothing() {
    let (_dir, septet, client, _, before) = with_a_link().await;
    let auth = format!("Host: {DOMAIN}\r\nAuthorization: Bearer {API_KEY}\r\nContent-Type: application/json\r\n");
    let body = r#"{"url":"https://example.com/"}"#;
    let requests = [
        "GET /a\0b HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(),
        "GET /taken HTTP/1.1\r\nHost: x\r\nX: a\0b\r\n\r\n".to_owned(),
        "GET /taken HTTP/9.9\r\nHost: x\r\n\r\n".to_owned(),
        "\x16\x03\x01\x02\x00\x01\x00\x01\r\n\r\n".to_owned(),
        "GET /%0d%0aSet-Cookie:%20a=b HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(),
        "GET /%00 HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(),
        "GET /%ff%fe HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(),
        "GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(),
        "GET /../../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(),
        format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(20_000)),
        format!("GET /taken HTTP/1.1\r\nHost: x\r\n{}\r\n", "X: y\r\n".repeat(1_000)),
        format!("POST /api/links HTTP/1.1\r\n{auth}Content-Length: abc\r\n\r\n{body}"),
        format!("POST /api/links HTTP/1.1\r\n{auth}Content-Length: -1\r\n\r\n{body}"),
        format!("POST /api/links HTTP/1.1\r\n{auth}Content-Length: 30\r\nContent-Length: 31\r\n\r\n{body} "),
        format!("POST /api/links HTTP/1.1\r\n{auth}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        format!("POST /api/links HTTP/1.1\r\n{auth}Transfer-Encoding: chunked\r\n\r\nzz\r\n{body}\r\n0\r\n\r\n"),
    ];
    for request in requests {
        let answer = raw::exchange(septet.listen, request.as_bytes());
        let status = answer.as_ref().map_or(400, |answer| answer.status);
        assert!((400..500).contains(&status), "{request:.80}: {answer:?}");
    }
    assert_eq!(everything(&client).await, before);
    septet.stop();
}
