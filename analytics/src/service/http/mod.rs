//! The API of [`wire`]: thin handlers over the questions that [`Admission`] lets through.

pub mod auth;
mod body;
pub mod error;
mod failure_log;
mod handlers;
mod measure;
pub mod openapi;
pub mod server;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use actix_web::{
    HttpRequest, HttpResponse, Resource, Route,
    http::Method,
    middleware::{DefaultHeaders, from_fn},
    web,
};

use super::admission::Admission;
use crate::{secret::Secret, wire};
use error::ApiError;

/// What the handlers work with.
#[derive(Clone)]
pub struct Api {
    pub admission: Arc<Admission>,
    /// What callers must send; `None` where only this machine is served.
    pub secret: Option<Secret>,
}

/// Every route of the API.
fn routes() -> [(&'static str, Method, Route); 4] {
    [
        (wire::QUERY, Method::POST, web::to(handlers::query)),
        (wire::TOTALS, Method::POST, web::to(handlers::totals)),
        (wire::FIRST_CLICK, Method::POST, web::to(handlers::first_click)),
        (wire::OPENAPI, Method::GET, web::to(openapi::show)),
    ]
}

/// What nobody needs a secret for.
const OPEN_TO_ALL: &str = wire::OPENAPI;

/// The whole public port. Every answer will change: none is to be kept by a cache.
pub fn configure(config: &mut web::ServiceConfig) {
    let uncached = || DefaultHeaders::new().add(("Cache-Control", "no-store"));
    let api = routes().into_iter().fold(web::scope(""), |scope, (path, method, route)| match path {
        OPEN_TO_ALL => scope.service(resource(path, method, route)),
        _ => {
            let resource = resource(path, method, route).wrap(from_fn(traces::actix::request));
            scope.service(resource.wrap(from_fn(auth::require)))
        }
    });
    config.service(api.default_service(web::to(no_such_address)).wrap(uncached()).wrap(from_fn(measure::call)));
}

/// The route of a path; another method is told which one there is.
fn resource(path: &'static str, method: Method, route: Route) -> Resource {
    let allowed = method.to_string();
    web::resource(path).route(route.method(method)).default_service(web::to(move |request: HttpRequest| {
        let refused = ApiError::method_not_allowed(request.method(), &allowed);
        async move { Err::<HttpResponse, _>(refused) }
    }))
}

async fn no_such_address() -> Result<HttpResponse, ApiError> {
    Err(ApiError::not_found())
}
