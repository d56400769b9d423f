//! One function for each call: read it, make it, answer it.

use actix_web::{
    HttpResponse,
    web::{Data, Json},
};

use super::{
    Api,
    body::Body,
    error::ApiError,
    lease_of_path::LeaseOfPath,
    openapi::{BodyRefusals, EveryRefusal},
    query::RecordsQuery,
};
use crate::{
    LeaseError, LeaseId,
    wire::{self, AccountAnswer, ErrorAnswer, IdSpaceAnswer, LeaseAnswer, LeaseCall, RecordsAnswer, UsageCall},
};

/// Lease blocks
///
/// Gives consecutive blocks, as many as were asked for or fewer. Repeating the call with the same `request_id` gives the same
/// lease. Claim each block in the link store before using it.
#[utoipa::path(
    post, path = wire::LEASES, tag = "leases", request_body = LeaseCall,
    responses(
        (status = 200, description = "The lease, which is on record", body = LeaseAnswer),
        (status = 409, description = "wrong_id_space: nothing was leased", body = ErrorAnswer),
        (status = 429, description = "too_many_unused: use blocks and report them first", body = ErrorAnswer,
            headers(("Retry-After" = u32, description = "Seconds"))),
        BodyRefusals, EveryRefusal,
    ),
    security(("secret" = []))
)]
pub async fn lease(api: Data<Api>, Body(call): Body<LeaseCall>) -> Result<Json<LeaseAnswer>, ApiError> {
    let id_space = api.leases.id_space().await?;
    let id_space = match call.fingerprint {
        None => IdSpaceAnswer::with_key(&id_space),
        Some(theirs) if theirs == id_space.fingerprint() => IdSpaceAnswer::without_key(&id_space),
        Some(theirs) => {
            return Err(LeaseError::WrongIdSpace { ours: theirs, theirs: id_space.fingerprint() }.into());
        }
    };
    let lease = api.leases.lease(&call.request()).await?;
    Ok(Json(LeaseAnswer { lease, id_space }))
}

/// Renew a lease
///
/// Puts off its end by its time to live, and records what became of its blocks so far; the higher figures win.
#[utoipa::path(
    post, path = wire::RENEW, tag = "leases", request_body = UsageCall,
    params(("lease_id" = LeaseId, Path, description = "The lease")),
    responses(
        (status = 204, description = "Renewed"),
        (status = 409, description = "not_held: the lease has ended or belongs to another owner", body = ErrorAnswer),
        BodyRefusals, EveryRefusal,
    ),
    security(("secret" = []))
)]
pub async fn renew(api: Data<Api>, lease: LeaseOfPath, Body(call): Body<UsageCall>) -> Result<HttpResponse, ApiError> {
    api.leases.renew(lease.0, call.owner, call.usage).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Return a lease
///
/// Ends it; its blocks after the first `used + refused` may be leased again. Repeating the call is fine.
#[utoipa::path(
    post, path = wire::RETURN, tag = "leases", request_body = UsageCall,
    params(("lease_id" = LeaseId, Path, description = "The lease")),
    responses(
        (status = 204, description = "Returned"),
        (status = 409, description = "not_held: the lease has expired or belongs to another owner", body = ErrorAnswer),
        BodyRefusals, EveryRefusal,
    ),
    security(("secret" = []))
)]
pub async fn give_back(
    api: Data<Api>,
    lease: LeaseOfPath,
    Body(call): Body<UsageCall>,
) -> Result<HttpResponse, ApiError> {
    api.leases.give_back(lease.0, call.owner, call.usage).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// List leases
///
/// Every lease there ever was, oldest first, a page at a time.
#[utoipa::path(
    get, path = wire::LEASES, tag = "record", params(RecordsQuery),
    responses(
        (status = 200, description = "A page", body = RecordsAnswer),
        (status = 400, description = "bad_request: a parameter is unknown or wrong", body = ErrorAnswer),
        EveryRefusal,
    ),
    security(("secret" = []))
)]
pub async fn records(api: Data<Api>, query: RecordsQuery) -> Result<Json<RecordsAnswer>, ApiError> {
    // One more than asked for, to see whether this is the last page.
    let limit = query.limit();
    let mut leases = api.leases.records(query.filter(), query.after(), limit + 1).await?;
    let more = leases.len() > limit as usize;
    leases.truncate(limit as usize);
    let next = leases.last().filter(|_| more).map(|record| record.lease.id);
    Ok(Json(RecordsAnswer { leases, next }))
}

/// The id space, with its secret key
#[utoipa::path(
    get, path = wire::ID_SPACE, tag = "id space",
    responses((status = 200, description = "The id space", body = IdSpaceAnswer), EveryRefusal),
    security(("secret" = []))
)]
pub async fn id_space(api: Data<Api>) -> Result<Json<IdSpaceAnswer>, ApiError> {
    Ok(Json(IdSpaceAnswer::with_key(&api.leases.id_space().await?)))
}

/// What became of every block
///
/// What is out, what was wasted, how much is left and for how long.
#[utoipa::path(
    get, path = wire::ACCOUNT, tag = "record",
    responses((status = 200, description = "The account", body = AccountAnswer), EveryRefusal),
    security(("secret" = []))
)]
pub async fn account(api: Data<Api>) -> Result<Json<AccountAnswer>, ApiError> {
    Ok(Json(AccountAnswer::of(api.leases.account().await?)))
}
