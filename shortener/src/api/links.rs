//! `/api/links`: make, find, list, count, change, delete.

use actix_web::{HttpRequest, HttpResponse, ResponseError, web};
use analytics::query::Totals;
use serde::Serialize;
use serde_json::json;
use sha2::{Digest, Sha256};
use traces::Kind;

use super::{
    Api,
    auth::ApiKeyId,
    body::Fields,
    error::ApiError,
    fields,
    params::Params,
    view::{LinkView, id_of, public_id},
};
use crate::{
    clock,
    key::Requested,
    link::{ExternalId, Link},
    shortener::{Name, NewLink},
    store::{Archived, Cursor, Idempotency, Listing, Order, Page},
};

/// The last page that can be named by its number; beyond it, `startingAfter` goes on.
const PAGE_MAX: u32 = 1_000;
/// The longest idempotency key, in characters.
const IDEMPOTENCY_KEY_CHARS_MAX: usize = 255;

/// What lists are narrowed by in Dub's API, each with the value that asks for nothing.
const FILTERS: [(&str, &str); 8] = [
    ("withTags", "false"),
    ("search", ""),
    ("tagId", ""),
    ("tagIds", ""),
    ("tagNames", ""),
    ("folderId", ""),
    ("userId", ""),
    ("tenantId", ""),
];

pub fn configure(config: &mut web::ServiceConfig) {
    config
        .service(web::resource("/links").get(list).post(create).default_service(web::to(method_not_allowed)))
        .service(web::resource("/links/info").get(info).default_service(web::to(method_not_allowed)))
        .service(web::resource("/links/count").get(count).default_service(web::to(method_not_allowed)))
        .service(
            web::resource("/links/{id}").patch(change).delete(delete).default_service(web::to(method_not_allowed)),
        );
}

pub async fn method_not_allowed() -> HttpResponse {
    ApiError::method_not_allowed().error_response()
}

async fn create(
    api: web::Data<Api>,
    api_key: web::ReqData<ApiKeyId>,
    request: HttpRequest,
    fields: Fields,
) -> Result<web::Json<LinkView>, ApiError> {
    let validating = traces::child(Kind::INTERNAL, "validate");
    let new = fields::new_link(fields, api.shortener.home(), clock::now_ms())?;
    drop(validating);
    let idempotency = idempotency(&request, *api_key, &new)?;
    let replayable = idempotency.is_some();
    let link = api.shortener.create(new, idempotency).await?;
    // A link that was just made has no clicks; one that was made earlier may.
    let totals = if replayable { totals(&api, &[&link]).await.remove(0) } else { Totals::default() };
    Ok(web::Json(view(&api, &link, totals)))
}

async fn info(api: web::Data<Api>, mut params: Params) -> Result<web::Json<LinkView>, ApiError> {
    let name = name(&api, &mut params)?;
    params.finish()?;
    let name =
        name.ok_or_else(|| ApiError::unprocessable("Name a link by linkId, by externalId, or by domain and key."))?;
    let link = api.shortener.find(&name).await?.ok_or_else(no_such_link)?;
    Ok(web::Json(viewed(&api, &link).await))
}

async fn list(api: web::Data<Api>, mut params: Params) -> Result<web::Json<Vec<LinkView>>, ApiError> {
    let archived = archived(&mut params)?;
    domain(&api, &mut params)?;
    let limit = params.number("pageSize", 1, Listing::LIMIT_MAX)?.unwrap_or(Listing::LIMIT_MAX);
    let order = params.read("sortOrder", |order| match order {
        "desc" => Ok(Order::NewestFirst),
        "asc" => Ok(Order::OldestFirst),
        _ => Err("must be asc or desc".to_owned()),
    })?;
    let (after, before) = (params.take("startingAfter"), params.take("endingBefore"));
    let number = params.number("page", 1, PAGE_MAX)?;
    params.not_supported(&[("sort", "createdAt"), ("sortBy", "createdAt")])?;
    params.not_supported(&FILTERS)?;
    params.finish()?;
    let page = match (after, before, number) {
        (None, None, None | Some(1)) => Page::First,
        (None, None, Some(number)) => Page::Skip((number - 1) * limit),
        // The clients count pages whether or not they are given a cursor.
        (Some(id), None, None | Some(1)) => Page::After(cursor(&api, "startingAfter", &id).await?),
        (None, Some(id), None | Some(1)) => Page::Before(cursor(&api, "endingBefore", &id).await?),
        _ => return Err(ApiError::unprocessable("startingAfter, endingBefore and page exclude each other.")),
    };
    let listing = Listing { archived, order: order.unwrap_or_default(), page, limit };
    let links = api.shortener.store().list(&listing).await?;
    let totals = totals(&api, &links.iter().collect::<Vec<_>>()).await;
    Ok(web::Json(links.iter().zip(totals).map(|(link, totals)| view(&api, link, totals)).collect()))
}

async fn count(api: web::Data<Api>, mut params: Params) -> Result<web::Json<u64>, ApiError> {
    let archived = archived(&mut params)?;
    domain(&api, &mut params)?;
    params.not_supported(&[("groupBy", "")])?;
    params.not_supported(&FILTERS)?;
    params.finish()?;
    Ok(web::Json(api.shortener.store().count(archived).await?))
}

async fn change(api: web::Data<Api>, id: web::Path<String>, fields: Fields) -> Result<web::Json<LinkView>, ApiError> {
    let change = fields::change(fields, api.shortener.home())?;
    let name = name_in_path(&api, &id).ok_or_else(no_such_link)?;
    let link = api.shortener.change(name, change).await?.ok_or_else(no_such_link)?;
    Ok(web::Json(viewed(&api, &link).await))
}

#[derive(Serialize)]
struct Deleted {
    id: String,
}

async fn delete(api: web::Data<Api>, id: web::Path<String>) -> Result<web::Json<Deleted>, ApiError> {
    let name = name_in_path(&api, &id).ok_or_else(no_such_link)?;
    let link = api.shortener.delete(name).await?.ok_or_else(no_such_link)?;
    Ok(web::Json(Deleted { id: public_id(&link, &api.codec) }))
}

/// Reads how a link is named: `linkId`, `externalId`, or `domain` and `key`. `None` if it is not.
pub fn name(api: &Api, params: &mut Params) -> Result<Option<Name>, ApiError> {
    let (id, external_id, key) = (params.take("linkId"), params.take("externalId"), params.take("key"));
    domain(api, params)?;
    if [&id, &external_id, &key].into_iter().flatten().count() > 1 {
        return Err(ApiError::unprocessable("linkId, externalId and key exclude each other."));
    }
    if let Some(id) = id {
        return name_in_path(api, &id).map(Some).ok_or_else(no_such_link);
    }
    if let Some(external_id) = external_id {
        let external_id = external_id.strip_prefix(ExternalId::PREFIX).unwrap_or(&external_id);
        return ExternalId::parse(external_id)
            .map(|external_id| Some(Name::ExternalId(external_id)))
            .map_err(|error| ApiError::unprocessable(format!("externalId: {error}.")));
    }
    match key {
        None => Ok(None),
        Some(key) => Requested::parse(&key).map(|requested| Some(Name::Key(requested))).ok_or_else(no_such_link),
    }
}

/// A link's name in a path: its id, or `ext_` and its externalId.
fn name_in_path(api: &Api, name: &str) -> Option<Name> {
    match name.strip_prefix(ExternalId::PREFIX) {
        Some(external_id) => ExternalId::parse(external_id).ok().map(Name::ExternalId),
        None => id_of(name, &api.codec).map(Name::Id),
    }
}

/// There is one domain, and naming it changes nothing.
fn domain(api: &Api, params: &mut Params) -> Result<(), ApiError> {
    let own = api.shortener.home().domain();
    params.read("domain", |domain| {
        if domain.eq_ignore_ascii_case(&own) { Ok(()) } else { Err(format!("only {own} is served here")) }
    })?;
    Ok(())
}

fn archived(params: &mut Params) -> Result<Archived, ApiError> {
    let shown = params.boolean("showArchived")?.unwrap_or_default();
    Ok(if shown { Archived::Include } else { Archived::Exclude })
}

async fn cursor(api: &Api, param: &str, id: &str) -> Result<Cursor, ApiError> {
    let unknown = || ApiError::unprocessable(format!("{param}: there is no such link."));
    let id = id_of(id, &api.codec).ok_or_else(unknown)?;
    let link = api.shortener.store().by_id(id).await?.ok_or_else(unknown)?;
    Ok(Cursor { created_at_ms: link.created_at_ms, id })
}

fn no_such_link() -> ApiError {
    ApiError::not_found("There is no such link.")
}

/// The client's idempotency key, bound to the API key that it came with.
fn idempotency(request: &HttpRequest, api_key: ApiKeyId, new: &NewLink) -> Result<Option<Idempotency>, ApiError> {
    let Some(value) = request.headers().get("Idempotency-Key") else { return Ok(None) };
    let key = value.to_str().unwrap_or_default().trim();
    if key.is_empty() || key.len() > IDEMPOTENCY_KEY_CHARS_MAX {
        let message =
            format!("Idempotency-Key: must be 1 to {IDEMPOTENCY_KEY_CHARS_MAX} characters of printable ASCII.");
        return Err(ApiError::unprocessable(message));
    }
    Ok(Some(Idempotency {
        key: Sha256::new().chain_update(api_key.0.as_bytes()).chain_update(key).finalize().into(),
        request: Sha256::digest(understood(new)).into(),
    }))
}

/// A request as it was understood, in words that stay the same: two requests that mean the same link read the same.
fn understood(new: &NewLink) -> String {
    json!({
        "url": new.url.as_str(),
        "key": new.alias.as_ref().map(|alias| alias.as_str()),
        "externalId": new.external_id.as_ref().map(|external_id| external_id.as_str()),
        "expiresAt": new.expires_at_ms,
        "expiredUrl": new.expired_url.as_ref().map(|url| url.as_str()),
        "title": new.title,
        "comments": new.comments,
        "archived": new.archived,
        "redirectStatus": new.redirect_status,
    })
    .to_string()
}

async fn viewed(api: &Api, link: &Link) -> LinkView {
    let totals = totals(api, &[link]).await.remove(0);
    view(api, link, totals)
}

fn view(api: &Api, link: &Link, totals: Totals) -> LinkView {
    LinkView::new(link, totals, api.shortener.home(), &api.codec)
}

/// How often each link was clicked.
async fn totals(api: &Api, links: &[&Link]) -> Vec<Totals> {
    let ids: Vec<u64> = links.iter().map(|link| link.id.0).collect();
    api.clicks.of(&ids).await
}
