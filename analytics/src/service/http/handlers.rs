//! One function for each call: read it, ask, answer it.

use actix_web::web::{Data, Json};

use super::{
    Api,
    body::Body,
    error::ApiError,
    openapi::{BodyRefusals, EveryRefusal},
};
use crate::{
    query::{Answer, Query},
    wire::{self, FirstClickAnswer, FirstClickCall, TOTALS_LINKS_MAX, TotalsAnswer, TotalsCall},
};

/// Ask a question
///
/// How many clicks, how many in each span of time, or how many of each value of a dimension. At most a thousand spans, ten thousand
/// values, a hundred years.
#[utoipa::path(
    post, path = wire::QUERY, tag = "questions", request_body = Query,
    responses((status = 200, description = "The answer, in the shape of the question's group", body = Answer), BodyRefusals, EveryRefusal),
    security(("secret" = []))
)]
pub async fn query(api: Data<Api>, Body(query): Body<Query>) -> Result<Json<Answer>, ApiError> {
    let answer = api.admission.ask(|queries| async move { queries.answer(&query).await });
    Ok(Json(answer.await?))
}

/// All that was ever counted of some links
#[utoipa::path(
    post, path = wire::TOTALS, tag = "questions", request_body = TotalsCall,
    responses((status = 200, description = "Their totals, in the order of the call", body = TotalsAnswer), BodyRefusals, EveryRefusal),
    security(("secret" = []))
)]
pub async fn totals(api: Data<Api>, Body(call): Body<TotalsCall>) -> Result<Json<TotalsAnswer>, ApiError> {
    if call.links.len() > TOTALS_LINKS_MAX {
        return Err(ApiError::bad_request(format!("more than {TOTALS_LINKS_MAX} links are not answered at once")));
    }
    let totals = api.admission.ask(|queries| async move { queries.totals(&call.links).await });
    Ok(Json(TotalsAnswer { totals: totals.await? }))
}

/// When the first click was counted
#[utoipa::path(
    post, path = wire::FIRST_CLICK, tag = "questions", request_body = FirstClickCall,
    responses((status = 200, description = "The quarter-hour of the first click", body = FirstClickAnswer), BodyRefusals, EveryRefusal),
    security(("secret" = []))
)]
pub async fn first_click(api: Data<Api>, Body(call): Body<FirstClickCall>) -> Result<Json<FirstClickAnswer>, ApiError> {
    let first = api.admission.ask(|queries| async move { queries.first_click_ms(&call.links).await });
    Ok(Json(FirstClickAnswer { first_click_ms: first.await? }))
}
