//! What questions look like on the wire, and what answers mean.

use super::*;

/// Seen to fail when a path was another one.
#[tokio::test]
async fn questions_and_answers_are_as_the_wire_has_them() {
    let server = Server::start(|n, _| match n {
        0 => counted(),
        1 => Reply::ok(&json!({ "series": [{ "clicks": 1, "visitors": null }, { "clicks": 2, "visitors": 1 }] })),
        2 => Reply::ok(&json!({ "values": [["DE", 3], ["", 1]] })),
        3 => Reply::ok(&json!({ "totals": [{ "clicks": 1, "bots": 2, "last_ms": 3 }], "more": 4 })),
        _ => Reply::ok(&json!({ "first_click_ms": 5 })),
    })
    .await;
    let client = client(vec![server.url()]);
    assert_eq!(count(&client).await.unwrap(), COUNTED);
    let series = query(Group::Series(vec![0..900_000, 900_000..900_001]));
    let steps = vec![Counted { clicks: 1, visitors: None }, Counted { clicks: 2, visitors: Some(1) }];
    assert_eq!(client.answer(&series).await.unwrap(), Answer::Series(steps));
    let values = query(Group::Values { dimension: Dimension::Country, limit: 2 });
    let named = vec![("DE".to_owned(), 3), (String::new(), 1)];
    assert_eq!(client.answer(&values).await.unwrap(), Answer::Values(named));
    assert_eq!(client.totals(&[9]).await.unwrap(), [Totals { clicks: 1, bots: 2, last_ms: Some(3) }]);
    assert_eq!(client.first_click_ms(&Links::All).await.unwrap(), Some(5));

    let span = json!({ "start": 0, "end": 900_000 });
    let asked = |group| json!({ "links": { "one": 7 }, "span_ms": span, "bots": "exclude", "group": group });
    let expected = [
        ("/v1/query", asked(json!("count"))),
        ("/v1/query", asked(json!({ "series": [span, { "start": 900_000, "end": 900_001 }] }))),
        ("/v1/query", asked(json!({ "values": { "dimension": "country", "limit": 2 } }))),
        ("/v1/totals", json!({ "links": [9] })),
        ("/v1/first-click", json!({ "links": "all" })),
    ];
    let seen = server.requests();
    let seen: Vec<_> = seen.iter().map(|request| (request.target.as_str(), request.json())).collect();
    assert_eq!(seen, expected);
}

/// Seen to fail when what a service says of a question was taken for its being away, and the other way round.
#[tokio::test]
async fn a_question_that_makes_no_sense_is_invalid_and_nothing_else_is() {
    for (reply, invalid, attempts) in [
        (error(400, ErrorCode::BadRequest), true, 1),
        (error(413, ErrorCode::TooLarge), true, 1),
        (error(401, ErrorCode::Unauthorized), false, 1),
        (Reply::text(401, "<html>"), false, 1),
        (Reply::text(400, "<html>"), false, ATTEMPTS_MAX),
        (error(408, ErrorCode::BadRequest), false, ATTEMPTS_MAX),
        (error(404, ErrorCode::NotFound), false, ATTEMPTS_MAX),
        (error(503, ErrorCode::Unavailable), false, ATTEMPTS_MAX),
        (error(503, ErrorCode::Overloaded), false, ATTEMPTS_MAX),
        (Reply::text(429, ""), false, ATTEMPTS_MAX),
    ] {
        let said = format!("{reply:?}");
        let server = Server::start(move |_, _| reply.clone()).await;
        let refused = count(&client(vec![server.url()])).await.unwrap_err();
        match &refused {
            QueryError::Invalid(what) => assert_eq!((invalid, what.as_str()), (true, "it is so"), "{said}"),
            QueryError::Unavailable(_) => assert!(!invalid, "{said}"),
        }
        assert_eq!(server.requests().len(), attempts, "{said}");
    }
}

/// Seen to fail when any answer that could be read was believed.
#[tokio::test]
async fn an_answer_to_another_question_is_none() {
    let spans = vec![0..900_000, 900_000..1_800_000];
    let values = |limit| Group::Values { dimension: Dimension::Os, limit };
    for (group, answer) in [
        (Group::Count, json!({ "series": [] })),
        (Group::Series(spans), json!({ "series": [{ "clicks": 1, "visitors": 1 }] })),
        (values(1), json!({ "values": [["a", 2], ["b", 1]] })),
        (values(1), json!({ "count": { "clicks": 1, "visitors": 1 } })),
    ] {
        let server = Server::start(move |_, _| Reply::ok(&answer)).await;
        let refused = client(vec![server.url()]).answer(&query(group)).await.unwrap_err().to_string();
        assert!(refused.contains("no answer of an analytics service"), "{refused}");
    }
    let server = Server::start(|_, _| Reply::ok(&json!({ "totals": [] }))).await;
    client(vec![server.url()]).totals(&[1]).await.unwrap_err();
}

/// Seen to fail when all of them were asked for at once.
#[tokio::test]
async fn totals_of_many_links_are_asked_for_in_parts() {
    let server = Server::start(|_, request| {
        let links = request.json()["links"].as_array().unwrap().clone();
        let totals = links.iter().map(|link| json!({ "clicks": link, "bots": 0, "last_ms": null }));
        Reply::ok(&json!({ "totals": totals.collect::<Vec<_>>() }))
    })
    .await;
    let client = client(vec![server.url()]);
    let links: Vec<_> = (0..2 * TOTALS_LINKS_MAX as u64 + 5).collect();
    let totals = client.totals(&links).await.unwrap();
    assert_eq!(totals.iter().map(|totals| totals.clicks).collect::<Vec<_>>(), links);
    assert_eq!(server.requests().len(), 3);
    assert_eq!(client.totals(&[]).await.unwrap(), []);
    assert_eq!(server.requests().len(), 3, "nothing is asked for nothing");
}

#[test]
fn without_a_url_there_is_no_client() {
    assert!(matches!(HttpQueries::new(options(Vec::new())), Err(ClientError::NoUrl)));
}
