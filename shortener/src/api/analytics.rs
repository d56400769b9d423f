//! `/api/analytics`: how often links were opened, when, and from where.

use std::collections::HashMap;

use actix_web::web;
use analytics::{
    query::{Answer, Bots, Counted, Dimension, Group, Links, OTHER, Query},
    timeline::{Asked, Interval, Timeline, TimelineError, Zone},
};
use serde_json::{Map, Value, json};

use super::{
    Api,
    error::ApiError,
    links::{method_not_allowed, name},
    params::Params,
    view::{public_id, short_link, time},
};
use crate::{
    clock,
    link::{Link, LinkId},
};

/// Values in one answer, unless `limit` asks for another number.
const VALUES_DEFAULT: u32 = 100;
/// The most values in one answer.
const VALUES_MAX: u32 = 1_000;
/// What is shown for a value that is not known.
const UNKNOWN: &str = "Unknown";
/// The same for the referrer: nobody referred.
const DIRECT: &str = "(direct)";

/// Questions of Dub's API for which nothing is kept.
const FILTERS: [(&str, &str); 23] = [
    ("country", ""),
    ("city", ""),
    ("region", ""),
    ("continent", ""),
    ("device", ""),
    ("browser", ""),
    ("os", ""),
    ("trigger", ""),
    ("referer", ""),
    ("refererUrl", ""),
    ("url", ""),
    ("tagId", ""),
    ("tagIds", ""),
    ("folderId", ""),
    ("tenantId", ""),
    ("programId", ""),
    ("partnerId", ""),
    ("customerId", ""),
    ("saleType", ""),
    ("qr", ""),
    ("root", ""),
    ("metadata", ""),
    ("query", ""),
];

pub fn configure(config: &mut web::ServiceConfig) {
    config.service(web::resource("/analytics").get(analytics).default_service(web::to(method_not_allowed)));
}

/// How an answer is grouped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum GroupBy {
    Count,
    Timeseries,
    Values(Dimension),
}

async fn analytics(api: web::Data<Api>, mut params: Params) -> Result<web::Json<Value>, ApiError> {
    params.read("event", |event| match event {
        "clicks" => Ok(()),
        _ => Err("only clicks are counted here".to_owned()),
    })?;
    let group_by = params.read("groupBy", group_by)?.unwrap_or(GroupBy::Count);
    let bots = params.read("bots", bots)?.unwrap_or_default();
    let limit = params.number("limit", 1, VALUES_MAX)?.unwrap_or(VALUES_DEFAULT);
    let zone: Zone = params.read("timezone", parse)?.unwrap_or(Zone::UTC);
    let asked = asked(&mut params)?;
    let name = name(&api, &mut params)?;
    params.not_supported(&FILTERS)?;
    params.finish()?;

    let link = match name {
        None => None,
        Some(name) => {
            let link = api.shortener.find(&name).await?;
            Some(link.ok_or_else(|| ApiError::not_found("There is no such link."))?)
        }
    };
    let links = link.as_ref().map_or(Links::All, |link| Links::One(link.id.0));
    let first_click_ms = match asked {
        Asked::Interval(Interval::All) => api.queries.first_click_ms(&links).await?,
        _ => None,
    };
    let of_one_link = link.as_ref().filter(|_| group_by == GroupBy::Values(Dimension::Link));
    let now_ms = clock::now_ms();
    let mut steps_ms = Vec::new();
    let (span_ms, group) = match group_by {
        GroupBy::Timeseries => {
            let timeline = Timeline::new(&asked, &zone, now_ms, first_click_ms).map_err(wrong_time)?;
            steps_ms.clone_from(&timeline.steps_ms);
            (timeline.span_ms, Group::Series(timeline.steps_ms))
        }
        _ => {
            let span_ms = Timeline::span_of(&asked, &zone, now_ms, first_click_ms).map_err(wrong_time)?;
            let group = match group_by {
                GroupBy::Values(dimension) if of_one_link.is_none() => Group::Values { dimension, limit },
                _ => Group::Count,
            };
            (span_ms, group)
        }
    };
    let query = Query { links, span_ms, bots, group };
    let answer = api.queries.answer(&query).await?;
    Ok(web::Json(match (answer, group_by) {
        (Answer::Count(counted), _) => match of_one_link {
            Some(link) if counted.clicks > 0 => Value::Array(vec![top_link(&api, link, counted.clicks)]),
            Some(_) => Value::Array(Vec::new()),
            None => counts(Map::new(), counted.clicks, Some(counted)),
        },
        (Answer::Series(series), _) => {
            let steps = steps_ms.iter().zip(series);
            steps.map(|(step, counted)| step_of(&zone, step.start, counted)).collect::<Result<_, _>>()?
        }
        (Answer::Values(values), GroupBy::Values(Dimension::Link)) => top_links(&api, values).await?,
        (Answer::Values(values), GroupBy::Values(dimension)) => {
            values.iter().filter_map(|(value, clicks)| Some(counts(named(dimension, value)?, *clicks, None))).collect()
        }
        (Answer::Values(_), _) => Value::Array(Vec::new()),
    }))
}

fn wrong_time(error: TimelineError) -> ApiError {
    ApiError::unprocessable(format!("{error}."))
}

fn group_by(name: &str) -> Result<GroupBy, String> {
    Ok(match name {
        "count" => GroupBy::Count,
        "timeseries" => GroupBy::Timeseries,
        "continents" => GroupBy::Values(Dimension::Continent),
        "countries" => GroupBy::Values(Dimension::Country),
        "regions" => GroupBy::Values(Dimension::Region),
        "cities" => GroupBy::Values(Dimension::City),
        "devices" => GroupBy::Values(Dimension::Device),
        "browsers" => GroupBy::Values(Dimension::Browser),
        "os" => GroupBy::Values(Dimension::Os),
        "referers" => GroupBy::Values(Dimension::Referer),
        "top_links" => GroupBy::Values(Dimension::Link),
        _ => {
            return Err("must be count, timeseries, continents, countries, regions, cities, devices, browsers, os, \
                        referers or top_links"
                .to_owned());
        }
    })
}

fn bots(name: &str) -> Result<Bots, String> {
    match name {
        "exclude" => Ok(Bots::Exclude),
        "include" => Ok(Bots::Include),
        "only" => Ok(Bots::Only),
        _ => Err("must be exclude, include or only".to_owned()),
    }
}

fn parse<T: std::str::FromStr<Err = TimelineError>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error: TimelineError| error.to_string())
}

/// The time asked for: a start and perhaps an end, which win over an interval; a day if nothing is said.
fn asked(params: &mut Params) -> Result<Asked, ApiError> {
    let interval = params.read("interval", parse)?.unwrap_or(Interval::Hours24);
    let (start, end) = (params.read("start", parse)?, params.read("end", parse)?);
    match (start, end) {
        (Some(start), end) => Ok(Asked::Between { start, end }),
        (None, None) => Ok(Asked::Interval(interval)),
        (None, Some(_)) => Err(ApiError::unprocessable("end: needs a start.")),
    }
}

/// Completes a row with its numbers, in the shape of Dub's API.
fn counts(mut row: Map<String, Value>, clicks: u64, counted: Option<Counted>) -> Value {
    row.insert("clicks".to_owned(), clicks.into());
    for none in ["leads", "sales", "saleAmount"] {
        row.insert(none.to_owned(), 0.into());
    }
    if let Some(counted) = counted {
        row.insert("uniqueVisitors".to_owned(), counted.visitors.into());
    }
    Value::Object(row)
}

fn step_of(zone: &Zone, start_ms: i64, counted: Counted) -> Result<Value, ApiError> {
    let start = zone.rfc3339(start_ms).map_err(wrong_time)?;
    Ok(counts(row([("start", &*start)]), counted.clicks, Some(counted)))
}

fn row<const N: usize>(fields: [(&str, &str); N]) -> Map<String, Value> {
    fields.into_iter().map(|(name, value)| (name.to_owned(), Value::from(value))).collect()
}

/// A value under its names. A continent that is not known has none: clients know seven, and refuse an eighth.
fn named(dimension: Dimension, value: &str) -> Option<Map<String, Value>> {
    fn known(value: &str) -> &str {
        if value.is_empty() { UNKNOWN } else { value }
    }

    Some(match dimension {
        Dimension::Continent if value.is_empty() => return None,
        Dimension::Continent => row([("continent", value)]),
        Dimension::Country => row([("country", known(value)), ("region", "*"), ("city", "*")]),
        Dimension::Region => {
            let country = if value == OTHER { value } else { value.split('-').next().unwrap_or_default() };
            row([("country", known(country)), ("region", known(value)), ("city", "*")])
        }
        Dimension::City if value == OTHER => row([("country", value), ("region", value), ("city", value)]),
        Dimension::City => {
            let mut parts = value.splitn(3, '/');
            let mut part = || known(parts.next().unwrap_or_default());
            row([("country", part()), ("region", part()), ("city", part())])
        }
        Dimension::Device => row([("device", known(value))]),
        Dimension::Browser => row([("browser", known(value))]),
        Dimension::Os => row([("os", known(value))]),
        Dimension::Referer => row([("referer", if value.is_empty() { DIRECT } else { value })]),
        Dimension::Link => row([("link", value)]),
    })
}

/// Puts names back on ids. Links that were deleted have none, and are left out.
async fn top_links(api: &Api, values: Vec<(String, u64)>) -> Result<Value, ApiError> {
    let ids: Vec<LinkId> = values.iter().filter_map(|(id, _)| id.parse().ok().map(LinkId)).collect();
    let links = api.shortener.store().by_ids(&ids).await?;
    let links: HashMap<LinkId, Link> = links.into_iter().map(|link| (link.id, link)).collect();
    let link_of = |id: &str| links.get(&LinkId(id.parse().ok()?));
    Ok(values.iter().filter_map(|(id, clicks)| Some(top_link(api, link_of(id)?, *clicks))).collect())
}

fn top_link(api: &Api, link: &Link, clicks: u64) -> Value {
    let id = public_id(link, &api.codec);
    let home = api.shortener.home();
    let fields = json!({
        "link": id,
        "id": id,
        "domain": home.domain(),
        "key": link.key.as_str(),
        "shortLink": short_link(link, home),
        "url": link.url.as_str(),
        "comments": link.comments,
        "title": link.title,
        "createdAt": time(link.created_at_ms),
    });
    match fields {
        Value::Object(fields) => counts(fields, clicks, None),
        other => other,
    }
}
