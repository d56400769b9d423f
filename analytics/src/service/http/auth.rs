//! Who may call: whoever sends the shared secret; anybody on this machine where none is set.
//!
//! Without a secret, what a proxy on this machine passes on is refused, and so is what a browser was led here for under another
//! name: neither comes from this machine.

use std::net::IpAddr;

use actix_web::{
    Error,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    http::header,
    middleware::Next,
    web,
};

use super::{Api, error::ApiError};

/// Lets a call through that carries the secret.
pub async fn require(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let api = request.app_data::<web::Data<Api>>().expect("the application has an API");
    let allowed = match &api.secret {
        Some(secret) => secret.matches(bearer(&request).unwrap_or_default()),
        None => is_from_here(&request),
    };
    if allowed {
        next.call(request).await.map(ServiceResponse::map_into_left_body)
    } else {
        let refused = ApiError::unauthorized();
        Ok(request.error_response(refused).map_into_right_body())
    }
}

fn is_from_here(request: &ServiceRequest) -> bool {
    let headers = request.headers();
    let passed_on = headers.contains_key(header::FORWARDED) || headers.contains_key(header::X_FORWARDED_FOR);
    let host = headers.get(header::HOST).map(|host| host.to_str().unwrap_or_default());
    // Browsers always send one.
    !passed_on && host.is_none_or(is_this_machine)
}

/// Whether a `Host` is a name of this machine for itself.
fn is_this_machine(host: &str) -> bool {
    let name = host.rsplit_once(':').filter(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()));
    let name = name.map_or(host, |(name, _)| name);
    let address = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    name.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}

fn bearer(request: &ServiceRequest) -> Option<&[u8]> {
    const SCHEME: &[u8] = b"bearer ";
    let value = request.headers().get(header::AUTHORIZATION)?.as_bytes();
    let (scheme, secret) = value.split_at_checked(SCHEME.len())?;
    scheme.eq_ignore_ascii_case(SCHEME).then_some(secret.trim_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_few_names() {
        for host in ["localhost", "LOCALHOST:8081", "127.0.0.1", "127.0.0.1:8081", "127.1.2.3:1", "[::1]", "[::1]:8081"]
        {
            assert!(is_this_machine(host), "{host}");
        }
        for host in [
            "",
            "analytics.example",
            "analytics.example:8081",
            "127.0.0.1.example",
            "10.0.0.1:8081",
            "localhost.example",
        ] {
            assert!(!is_this_machine(host), "{host}");
        }
    }
}
