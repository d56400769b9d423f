//! Who may call: whoever sends the shared secret; anybody on this machine where none is set.

use actix_web::{
    Error,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    http::header,
    middleware::Next,
    web,
};

use super::{Api, error::ApiError};
use crate::LeaseError;

/// Lets a call through that carries the secret.
pub async fn require(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let api = request.app_data::<web::Data<Api>>().expect("the application has an API");
    let allowed = match &api.secret {
        Some(secret) => secret.matches(bearer(&request).unwrap_or_default()),
        None => true,
    };
    if allowed {
        next.call(request).await.map(ServiceResponse::map_into_left_body)
    } else {
        let refused = ApiError::from(LeaseError::Unauthorized);
        Ok(request.error_response(refused).map_into_right_body())
    }
}

fn bearer(request: &ServiceRequest) -> Option<&[u8]> {
    const SCHEME: &[u8] = b"bearer ";
    let value = request.headers().get(header::AUTHORIZATION)?.as_bytes();
    let (scheme, secret) = value.split_at_checked(SCHEME.len())?;
    scheme.eq_ignore_ascii_case(SCHEME).then_some(secret.trim_ascii())
}
