//! The API of [`wire`]: thin handlers over a [`LeaseStore`].

pub mod auth;
mod body;
pub mod error;
mod failure_log;
mod handlers;
mod lease_of_path;
mod measure;
mod openapi;
mod query;
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

use crate::{LeaseStore, secret::Secret, wire};
use error::ApiError;

/// What the handlers work with.
#[derive(Clone)]
pub struct Api {
    pub leases: Arc<dyn LeaseStore>,
    /// What callers must send; `None` where only this machine is served.
    pub secret: Option<Secret>,
}

/// Every route of the API.
fn routes() -> [(&'static str, Method, Route); 7] {
    [
        (wire::LEASES, Method::POST, web::to(handlers::lease)),
        (wire::LEASES, Method::GET, web::to(handlers::records)),
        (wire::RENEW, Method::POST, web::to(handlers::renew)),
        (wire::RETURN, Method::POST, web::to(handlers::give_back)),
        (wire::ID_SPACE, Method::GET, web::to(handlers::id_space)),
        (wire::ACCOUNT, Method::GET, web::to(handlers::account)),
        (wire::OPENAPI, Method::GET, web::to(openapi::show)),
    ]
}

/// What nobody needs a secret for.
const OPEN_TO_ALL: &str = wire::OPENAPI;

/// The whole public port. Every answer may hold what is secret or will change: none is to be kept by a cache.
pub fn configure(config: &mut web::ServiceConfig) {
    let uncached = || DefaultHeaders::new().add(("Cache-Control", "no-store"));
    let mut paths: Vec<&str> = routes().iter().map(|(path, ..)| *path).collect();
    paths.dedup();
    let api = paths.into_iter().fold(web::scope(""), |scope, path| match path {
        OPEN_TO_ALL => scope.service(resource(path)),
        _ => scope.service(resource(path).wrap(from_fn(traces::actix::request)).wrap(from_fn(auth::require))),
    });
    config.service(api.default_service(web::to(no_such_address)).wrap(uncached()).wrap(from_fn(measure::call)));
}

/// The routes of one path; another method is told which ones there are.
fn resource(path: &'static str) -> Resource {
    let mut allowed = Vec::new();
    let mut resource = web::resource(path);
    for (_, method, route) in routes().into_iter().filter(|(of, ..)| *of == path) {
        allowed.push(method.to_string());
        resource = resource.route(route.method(method));
    }
    let allowed = allowed.join(", ");
    resource.default_service(web::to(move |request: HttpRequest| {
        let refused = ApiError::method_not_allowed(request.method(), &allowed);
        async move { Err::<HttpResponse, _>(refused) }
    }))
}

async fn no_such_address() -> Result<HttpResponse, ApiError> {
    Err(ApiError::not_found())
}
