//! The fields of a link, as clients send them.

use jiff::{Timestamp, civil::Date, tz::TimeZone};
use serde_json::Value;

use super::{
    body::{Fields, Support},
    error::ApiError,
};
use crate::{
    code::Code,
    destination::{Destination, Home},
    key::Alias,
    link::{COMMENTS_CHARS_MAX, ExternalId, RedirectStatus, TITLE_CHARS_MAX, text},
    shortener::{Change, NewLink, Rename},
};

/// Reads the fields of a link to be made.
pub fn new_link(mut fields: Fields, home: &Home, now_ms: i64) -> Result<NewLink, ApiError> {
    let change = read(&mut fields, home)?;
    fields.finish(|name, value| support(name, value, home))?;
    let Some(url) = change.url else {
        return Err(ApiError::unprocessable("url: is required."));
    };
    let expires_at_ms = change.expires_at_ms.flatten();
    if expires_at_ms.is_some_and(|expires_at_ms| expires_at_ms <= now_ms) {
        return Err(ApiError::unprocessable("expiresAt: is in the past."));
    }
    Ok(NewLink {
        url,
        alias: change.key.map(|rename| rename.alias),
        external_id: change.external_id.flatten(),
        expires_at_ms,
        expired_url: change.expired_url.flatten(),
        title: change.title.flatten(),
        comments: change.comments.flatten(),
        archived: change.archived.unwrap_or_default(),
        redirect_status: change.redirect_status.unwrap_or_default(),
    })
}

/// Reads the fields of a link to be changed: absent ones stay, null clears.
pub fn change(mut fields: Fields, home: &Home) -> Result<Change, ApiError> {
    let change = read(&mut fields, home)?;
    fields.finish(|name, value| support(name, value, home))?;
    Ok(change)
}

fn read(fields: &mut Fields, home: &Home) -> Result<Change, ApiError> {
    Ok(Change {
        url: fields.take("url", |value| destination(value, home))?.map(not_null("url")).transpose()?,
        // Null asks for what is there anyway: a generated code when making a link, the present key when changing one.
        key: fields.take("key", rename)?.flatten(),
        external_id: fields.take("externalId", external_id)?,
        expires_at_ms: fields.take("expiresAt", time_ms)?,
        expired_url: fields.take("expiredUrl", |value| destination(value, home))?,
        title: fields.take("title", |value| bounded(value, TITLE_CHARS_MAX))?,
        comments: fields.take("comments", |value| bounded(value, COMMENTS_CHARS_MAX))?,
        archived: fields.take("archived", boolean)?.map(Option::unwrap_or_default),
        redirect_status: fields.take("redirectStatus", redirect_status)?.map(Option::unwrap_or_default),
    })
}

fn not_null<T>(name: &'static str) -> impl FnOnce(Option<T>) -> Result<T, ApiError> {
    move |value| value.ok_or_else(|| ApiError::unprocessable(format!("{name}: must not be null.")))
}

fn string(value: Value) -> Result<String, String> {
    match value {
        Value::String(string) => Ok(string),
        _ => Err("must be a string".to_owned()),
    }
}

fn boolean(value: Value) -> Result<bool, String> {
    value.as_bool().ok_or_else(|| "must be true or false".to_owned())
}

fn destination(value: Value, home: &Home) -> Result<Destination, String> {
    Destination::parse(&string(value)?, home).map_err(|error| error.to_string())
}

fn rename(value: Value) -> Result<Rename, String> {
    let given = string(value)?;
    let alias = Alias::parse(&given).map_err(|error| error.to_string())?;
    Ok(Rename { code: Code::parse(given.as_bytes()), alias })
}

fn external_id(value: Value) -> Result<ExternalId, String> {
    ExternalId::parse(&string(value)?).map_err(|error| error.to_string())
}

fn bounded(value: Value, chars_max: usize) -> Result<String, String> {
    let given = string(value)?;
    text(&given, chars_max).map_err(|error| error.to_string())?;
    Ok(given)
}

fn redirect_status(value: Value) -> Result<RedirectStatus, String> {
    let status = value.as_u64().and_then(|status| u16::try_from(status).ok()).unwrap_or_default();
    RedirectStatus::try_from(status).map_err(str::to_owned)
}

/// A time with its offset (`2026-11-20T12:00:00Z`), or a date, which begins at midnight in UTC.
fn time_ms(value: Value) -> Result<i64, String> {
    let given = string(value)?;
    let instant = given.parse::<Timestamp>().or_else(|error| match given.parse::<Date>() {
        Ok(date) if given.len() == "2026-11-20".len() => date.to_zoned(TimeZone::UTC).map(|zoned| zoned.timestamp()),
        _ => Err(error),
    });
    let instant =
        instant.map_err(|_| "must be a time such as 2026-11-20T12:00:00Z, or a date, before 9999-12-30".to_owned())?;
    Ok(instant.as_millisecond())
}

/// Fields of Dub's API that nothing here stands behind yet, each with the values that ask for nothing.
fn support(name: &str, value: &Value, home: &Home) -> Support {
    let idle = match name {
        "domain" => match value {
            Value::String(domain) => domain.eq_ignore_ascii_case(&home.domain()),
            value => value.is_null(),
        },
        "keyLength" => value.is_null() || value.as_u64() == Some(7),
        "prefix" => value.is_null() || value.as_str().is_some_and(|prefix| prefix.trim_matches('/').is_empty()),
        "tagId" | "tagIds" | "tagNames" | "webhookIds" => {
            value.is_null() || value.as_array().is_some_and(Vec::is_empty)
        }
        "trackConversion" | "proxy" | "rewrite" | "doIndex" | "publicStats" => {
            value.is_null() || value.as_bool() == Some(false)
        }
        "tenantId" | "programId" | "partnerId" | "folderId" | "password" | "description" | "image" | "video"
        | "ios" | "android" | "geo" | "testVariants" | "testStartedAt" | "testCompletedAt" | "utm_source"
        | "utm_medium" | "utm_campaign" | "utm_term" | "utm_content" | "ref" => value.is_null(),
        _ => return Support::Unknown,
    };
    if idle { Support::Idle } else { Support::Unsupported }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: i64 = 1_800_000_000_000;

    fn home() -> Home {
        Home::parse("http://localhost:8080").unwrap()
    }

    fn refused(body: &str) -> String {
        new_link(Fields::parse(body.as_bytes()).unwrap(), &home(), NOW_MS).unwrap_err().message
    }

    /// Seen to fail when null alone asked for nothing.
    #[test]
    fn what_asks_for_nothing_is_accepted() {
        let body = r#"{"url":"https://e.example","domain":"LOCALHOST:8080","keyLength":7,"prefix":"","tagIds":[],
            "trackConversion":false,"password":null,"geo":null,"key":null,"expiresAt":null,"archived":null}"#;
        let new = new_link(Fields::parse(body.as_bytes()).unwrap(), &home(), NOW_MS).unwrap();
        assert_eq!((new.alias, new.expires_at_ms, new.archived), (None, None, false));
    }

    /// Seen to fail when `finish` was not called.
    #[test]
    fn what_is_not_understood_is_named() {
        assert_eq!(refused(r#"{"url":"https://e.example","zzz":1,"aaa":2}"#), r#"Unknown fields: "aaa", "zzz"."#);
        let message = refused(r#"{"url":"https://e.example","password":"x","geo":{"DE":"https://e.example"}}"#);
        assert!(message.contains("\"geo\", \"password\""), "{message}");
        assert!(refused(r#"{"url":"https://e.example","domain":"other.example"}"#).contains("domain"));
    }

    /// Seen to fail when a message left its field out, and without the checks of past times, of texts and of the size
    /// of a status.
    #[test]
    fn each_field_says_what_is_wrong() {
        for (body, field) in [
            (r#"{}"#, "url"),
            (r#"{"url":null}"#, "url"),
            (r#"{"url":7}"#, "url"),
            (r#"{"url":"javascript:alert(1)"}"#, "url"),
            (r#"{"url":"https://e.example","key":"a b"}"#, "key"),
            (r#"{"url":"https://e.example","key":""}"#, "key"),
            (r#"{"url":"https://e.example","externalId":""}"#, "externalId"),
            (r#"{"url":"https://e.example","expiresAt":"tomorrow"}"#, "expiresAt"),
            (r#"{"url":"https://e.example","expiresAt":"2020-01-01T00:00:00Z"}"#, "expiresAt"),
            (r#"{"url":"https://e.example","expiredUrl":"ftp://e.example"}"#, "expiredUrl"),
            (r#"{"url":"https://e.example","title":7}"#, "title"),
            (r#"{"url":"https://e.example","comments":"\u0000"}"#, "comments"),
            (r#"{"url":"https://e.example","archived":"yes"}"#, "archived"),
            (r#"{"url":"https://e.example","redirectStatus":303}"#, "redirectStatus"),
            (r#"{"url":"https://e.example","redirectStatus":"302"}"#, "redirectStatus"),
            (r#"{"url":"https://e.example","redirectStatus":65838}"#, "redirectStatus"),
        ] {
            let message = refused(body);
            assert!(message.starts_with(&format!("{field}: ")), "{body}: {message}");
        }
    }

    /// Seen to fail when a time without an offset was read as its date.
    #[test]
    fn times_are_read_with_their_offset() {
        let read = |given: &str| time_ms(Value::String(given.to_owned()));
        assert_eq!(read("2026-11-20T12:00:00Z"), Ok(1_795_176_000_000));
        assert_eq!(read("2026-11-20T13:00:00.000+01:00"), Ok(1_795_176_000_000));
        assert_eq!(read("2026-11-20"), Ok(1_795_132_800_000));
        for given in ["", "2026-11-20T12:00:00", "2026-13-01", "12:00", "1795176000"] {
            assert!(read(given).is_err(), "{given}");
        }
    }
}
