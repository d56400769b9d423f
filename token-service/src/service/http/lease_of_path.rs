//! The lease that a path names.

use std::future::{Ready, ready};

use actix_web::{FromRequest, HttpRequest, dev::Payload};

use super::error::ApiError;
use crate::LeaseId;

/// What stands for `{lease_id}`.
pub struct LeaseOfPath(pub LeaseId);

impl FromRequest for LeaseOfPath {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let id = request.match_info().query("lease_id").parse();
        ready(id.map(|id| LeaseOfPath(LeaseId(id))).map_err(|_| ApiError::bad_request("lease_id must be a number")))
    }
}
