//! The API under `/api`: thin handlers over [`Shortener`](crate::shortener::Shortener) and analytics.

use std::{fmt::Write as _, sync::Arc};

use ::analytics::query::Queries;
use actix_web::{
    HttpResponse, ResponseError,
    http::header,
    middleware::{DefaultHeaders, from_fn},
    web,
};

use crate::{caching::KEPT_NOWHERE, code::Codec, shortener::Shortener};

mod analytics;
pub mod auth;
mod body;
pub mod error;
mod fields;
pub mod link_clicks;
mod links;
mod measure;
mod params;
mod qr;
mod view;

use error::{ApiError, Code};
use link_clicks::LinkClicks;

/// What the handlers work with.
pub struct Api {
    pub shortener: Shortener,
    pub queries: Arc<dyn Queries>,
    pub clicks: LinkClicks,
    pub codec: Arc<Codec>,
}

/// Where `/` leads.
#[derive(Debug, Clone)]
pub struct RootTarget(pub Option<String>);

/// Everything of the public port that is no key.
pub fn configure(config: &mut web::ServiceConfig) {
    config
        .service(web::resource("/").get(root).head(root))
        .service(web::resource("/robots.txt").get(robots).head(robots))
        .service(web::resource("/favicon.ico").get(favicon).head(favicon))
        .service(web::resource(error::DOC_PATH).get(errors))
        .configure(qr::configure)
        .service(
            web::scope("/api")
                // Behind the API key: nobody else decides what is traced.
                .wrap(from_fn(traces::actix::request))
                .wrap(from_fn(auth::require))
                .wrap(from_fn(measure::request))
                // Errors say so themselves.
                .wrap(DefaultHeaders::new().add((header::CACHE_CONTROL, KEPT_NOWHERE)))
                .configure(links::configure)
                .configure(analytics::configure)
                .default_service(web::to(no_such_address)),
        )
        .default_service(web::to(no_such_address));
}

/// Leads to where the operator wants people to go, or says what this is.
async fn root(target: web::Data<RootTarget>) -> HttpResponse {
    match &target.0 {
        Some(url) => HttpResponse::Found().insert_header((header::LOCATION, url.as_str())).finish(),
        None => HttpResponse::Ok().content_type("text/plain; charset=utf-8").body("This is a URL shortener.\n"),
    }
}

/// Short links are nothing to index; where they lead is.
async fn robots() -> HttpResponse {
    HttpResponse::Ok().content_type("text/plain; charset=utf-8").body("User-agent: *\nDisallow: /api/\n")
}

/// A browser asks for it with every page; it is cached for a week.
async fn favicon() -> HttpResponse {
    const ICON: &str = "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 16 16\">\
        <rect width=\"16\" height=\"16\" rx=\"4\" fill=\"#246\"/>\
        <path d=\"M4 4h8l-5 9\" fill=\"none\" stroke=\"#fff\" stroke-width=\"2\"/></svg>";
    HttpResponse::Ok()
        .content_type("image/svg+xml")
        .insert_header((header::CACHE_CONTROL, "public, max-age=604800"))
        .body(ICON)
}

/// What the errors' `doc_url` leads to.
async fn errors() -> HttpResponse {
    let mut page = String::from(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>Errors</title>\n<h1>Errors</h1>\n<dl>\n",
    );
    for (code, meaning) in Code::ALL {
        let name = code.as_str();
        let _ = writeln!(page, "<dt id=\"{name}\"><code>{name}</code></dt><dd>{meaning}</dd>");
    }
    page.push_str("</dl>\n</html>\n");
    HttpResponse::Ok().content_type("text/html; charset=utf-8").body(page)
}

async fn no_such_address() -> HttpResponse {
    ApiError::not_found("There is nothing at this address.").error_response()
}
