use std::collections::BTreeSet;

use super::*;

async fn document() -> Value {
    Served::new().await.send(TestRequest::get().uri("/v1/openapi.json")).await.body
}

/// Seen to fail when a handler was left out of the document, and when a path was written in another way.
#[actix_web::test]
async fn every_route_is_documented_and_no_other() {
    let document = document().await;
    let served: BTreeSet<_> = super::super::routes()
        .into_iter()
        .map(|(path, method, _)| (path.to_owned(), method.to_string().to_lowercase()))
        .collect();
    let documented: BTreeSet<_> = document["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, methods)| methods.as_object().unwrap().keys().map(|method| (path.clone(), method.clone())))
        .collect();
    assert_eq!(served, documented);
}

/// Seen to fail when a call had no `security`, and when the scheme was not described.
#[actix_web::test]
async fn every_call_but_one_is_said_to_need_the_secret() {
    let document = document().await;
    assert_eq!(document["components"]["securitySchemes"]["secret"]["scheme"], "bearer");
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let secured = operation["security"] == json!([{ "secret": [] }]);
            assert_eq!(secured, path != "/v1/openapi.json", "{method} {path}");
            assert!(operation["summary"].is_string() && operation["responses"].is_object(), "{method} {path}");
        }
    }
}

/// A question is described field by field, and each reference leads somewhere.
///
/// Seen to fail when what stands for a range was not described.
#[actix_web::test]
async fn what_is_sent_and_answered_is_described() {
    let document = document().await;
    let schemas = document["components"]["schemas"].as_object().unwrap();
    let fields = |name: &str| schemas[name]["properties"].as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
    assert_eq!(fields("Query"), ["links", "span_ms", "bots", "group"].map(str::to_owned).into());
    assert_eq!(fields("Span"), ["start", "end"].map(str::to_owned).into());
    let text = document.to_string();
    for reference in text.split("\"#/components/schemas/").skip(1) {
        let name = reference.split('"').next().unwrap();
        assert!(schemas.contains_key(name), "{name}");
    }
}
