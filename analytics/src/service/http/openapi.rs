//! The API in OpenAPI: made from the handlers and the types of [`wire`], and answered to anybody.

use std::{collections::BTreeMap, sync::LazyLock};

use actix_web::HttpResponse;
use utoipa::{
    IntoResponses, Modify, OpenApi, ToSchema,
    openapi::{
        ComponentsBuilder, Header, Ref, RefOr, Response, ResponseBuilder,
        content::ContentBuilder,
        security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};

use super::handlers;
use crate::{query::Dimension, wire};

/// A span of time, in Unix milliseconds: OpenAPI knows nothing of ranges.
#[derive(ToSchema)]
pub struct Span {
    /// From.
    pub start: i64,
    /// Up to, and not in it.
    pub end: i64,
}

/// What is asked of the clicks: [`Group`](crate::query::Group) as it is written.
#[derive(ToSchema)]
#[schema(as = Group, rename_all = "snake_case")]
pub enum GroupForm {
    /// Their number.
    Count,
    /// Their number in each of these spans of time, which are in order and do not overlap.
    Series(Vec<Span>),
    /// Their number for each value of a dimension, the largest first, at most `limit`.
    Values { dimension: Dimension, limit: u32 },
}

#[derive(OpenApi)]
#[openapi(
    info(title = "Septet analytics", description = "Answers questions about clicks. Links are known by their ids alone."),
    paths(handlers::query, handlers::totals, handlers::first_click, show),
    components(schemas(wire::ErrorAnswer)),
    tags(
        (name = "questions", description = "Reads only: any of them may be repeated"),
        (name = "about", description = "This document")
    ),
    modifiers(&SharedSecret)
)]
struct Document;

/// Made once: it is the same for every caller.
static DOCUMENT: LazyLock<String> =
    LazyLock::new(|| Document::openapi().to_json().expect("a document of strings can be written as JSON"));

/// This document
#[utoipa::path(
    get, path = wire::OPENAPI, tag = "about",
    responses((status = 200, description = "The API, in OpenAPI; it needs no secret", content_type = "application/json"))
)]
pub async fn show() -> HttpResponse {
    HttpResponse::Ok().content_type("application/json").body(DOCUMENT.as_str())
}

struct SharedSecret;

impl Modify for SharedSecret {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("The service's --analytics-secret. Not asked for where none is set."))
            .build();
        document
            .components
            .get_or_insert_with(|| ComponentsBuilder::new().build())
            .add_security_scheme("secret", SecurityScheme::Http(scheme));
    }
}

/// How every call that needs the secret may end.
pub struct EveryRefusal;

impl IntoResponses for EveryRefusal {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        BTreeMap::from([
            refusal(401, "unauthorized: the secret is missing or wrong", Some("WWW-Authenticate")),
            refusal(503, "unavailable, overloaded: ask again, or another service", Some("Retry-After")),
        ])
    }
}

/// How every call with a body may end.
pub struct BodyRefusals;

impl IntoResponses for BodyRefusals {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        BTreeMap::from([
            refusal(400, "bad_request: the call is not well-formed, or the question makes no sense", None),
            refusal(408, "bad_request: the body did not arrive in time", None),
            refusal(413, "too_large: the body is too large", None),
            refusal(415, "bad_request: the body is not sent as application/json", None),
        ])
    }
}

fn refusal(status: u16, description: &str, header: Option<&str>) -> (String, RefOr<Response>) {
    let body = ContentBuilder::new().schema(Some(Ref::from_schema_name("ErrorAnswer"))).build();
    let mut response = ResponseBuilder::new().description(description).content("application/json", body);
    if let Some(name) = header {
        response = response.header(name, Header::default());
    }
    (status.to_string(), response.build().into())
}
