//! What the record is asked for: the parameters of `GET /v1/leases`, each known, in bounds and given once.

use std::{
    future::{Ready, ready},
    str::FromStr,
};

use actix_web::{FromRequest, HttpRequest, dev::Payload, web};
use utoipa::IntoParams;

use super::error::ApiError;
use crate::{LeaseId, LeaseState, Owner, RecordFilter, wire::RECORDS_MAX};

/// Rows of a page, unless it is said how many.
const LIMIT_DEFAULT: u32 = 100;

/// Which leases are meant, and which page of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct RecordsQuery {
    /// Only leases in this state.
    state: Option<LeaseState>,
    /// Only leases of this owner.
    owner: Option<Owner>,
    /// Only leases after this one: `next` of the page before.
    after: Option<LeaseId>,
    /// How many leases at most; 100 unless it is given.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
}

impl RecordsQuery {
    pub fn filter(&self) -> RecordFilter {
        RecordFilter { state: self.state, owner: self.owner }
    }

    pub fn after(&self) -> Option<LeaseId> {
        self.after
    }

    pub fn limit(&self) -> u32 {
        self.limit.unwrap_or(LIMIT_DEFAULT)
    }

    fn parse(query: &str) -> Result<Self, ApiError> {
        let parameters = web::Query::<Vec<(String, String)>>::from_query(query)
            .map_err(|error| ApiError::bad_request(format!("the query cannot be read: {error}")))?;
        let mut asked = Self::default();
        for (name, value) in parameters.into_inner() {
            match name.as_str() {
                "state" => set(&mut asked.state, "state", state(&value), "open, returned or expired")?,
                "owner" => set(&mut asked.owner, "owner", parse(&value).map(Owner), "a UUID")?,
                "after" => set(&mut asked.after, "after", parse(&value).map(LeaseId), "the id of a lease")?,
                "limit" => set(&mut asked.limit, "limit", limit(&value), &format!("1 to {RECORDS_MAX}"))?,
                _ => {
                    return Err(ApiError::bad_request("a parameter is unknown; state, owner, after and limit are not"));
                }
            }
        }
        Ok(asked)
    }
}

fn set<T>(field: &mut Option<T>, name: &str, value: Option<T>, must_be: &str) -> Result<(), ApiError> {
    let value = value.ok_or_else(|| ApiError::bad_request(format!("{name} must be {must_be}")))?;
    match field.replace(value) {
        None => Ok(()),
        Some(_) => Err(ApiError::bad_request(format!("{name} is given twice"))),
    }
}

fn parse<T: FromStr>(value: &str) -> Option<T> {
    value.parse().ok()
}

fn state(value: &str) -> Option<LeaseState> {
    match value {
        "open" => Some(LeaseState::Open),
        "returned" => Some(LeaseState::Returned),
        "expired" => Some(LeaseState::Expired),
        _ => None,
    }
}

fn limit(value: &str) -> Option<u32> {
    parse(value).filter(|limit| (1..=RECORDS_MAX).contains(limit))
}

impl FromRequest for RecordsQuery {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Self::parse(request.query_string()))
    }
}
