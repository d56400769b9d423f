//! The body of a request: one JSON object, bounded, read field by field.

use std::{fmt, pin::Pin, time::Duration};

use actix_web::{FromRequest, HttpMessage, HttpRequest, dev::Payload, http::header, web};
use serde::{
    Deserialize, Deserializer,
    de::{Error as _, MapAccess, Visitor},
};
use serde_json::{Map, Value};
use tokio::time::timeout;

use super::error::ApiError;
use crate::metrics;

/// The largest body that is read, in bytes. A destination may take 32,000 characters, escaped six bytes each.
pub const BODY_BYTES_MAX: usize = 512 * 1024;

/// How long a client may take to send a body, once its head was read: less than a step of stopping takes by default.
const BODY_TIMEOUT: Duration = Duration::from_secs(7);

/// The fields of a request's JSON object. Each is taken once; what is left over is refused by [`Fields::finish`].
#[derive(Debug)]
pub struct Fields(Map<String, Value>);

impl Fields {
    /// Reads a body.
    pub fn parse(body: &[u8]) -> Result<Self, ApiError> {
        if body.iter().all(u8::is_ascii_whitespace) {
            return Err(ApiError::bad_request("The body is empty; a JSON object is expected."));
        }
        match serde_json::from_slice(body) {
            Ok(Once(fields)) => Ok(Fields(fields)),
            Err(error) if error.is_data() => {
                Err(ApiError::bad_request(format!("The body is no JSON object: {error}.")))
            }
            Err(error) => Err(ApiError::bad_request(format!("The body is not valid JSON: {error}."))),
        }
    }

    /// Takes a field: `None` if it is absent, `Some(None)` if it is null.
    pub fn take<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(Value) -> Result<T, String>,
    ) -> Result<Option<Option<T>>, ApiError> {
        match self.0.remove(name) {
            None => Ok(None),
            Some(Value::Null) => Ok(Some(None)),
            Some(value) => match read(value) {
                Ok(read) => Ok(Some(Some(read))),
                Err(why) => Err(ApiError::unprocessable(format!("{name}: {why}."))),
            },
        }
    }

    /// Refuses what is left, naming it: fields that are unsupported unless they have one of their idle values, and
    /// fields that nobody knows.
    pub fn finish(self, unsupported: impl Fn(&str, &Value) -> Support) -> Result<(), ApiError> {
        let (mut not_supported, mut unknown) = (Vec::new(), Vec::new());
        for (name, value) in self.0 {
            match unsupported(&name, &value) {
                Support::Idle => {}
                Support::Unsupported => not_supported.push(name),
                Support::Unknown => unknown.push(name),
            }
        }
        if !unknown.is_empty() {
            return Err(ApiError::unprocessable(format!("Unknown fields: {}.", shown(&unknown))));
        }
        if !not_supported.is_empty() {
            let message =
                format!("Not supported yet: {}. Leave out, or send null or the default.", shown(&not_supported));
            return Err(ApiError::unprocessable(message));
        }
        Ok(())
    }
}

/// How many names, and of what length, a message repeats.
const NAMES_SHOWN_MAX: usize = 10;
const NAME_CHARS_SHOWN_MAX: usize = 64;

/// Names for a message: bounded, quoted.
pub fn shown(names: &[String]) -> String {
    let mut shown: Vec<String> = names
        .iter()
        .take(NAMES_SHOWN_MAX)
        .map(|name| format!("{:?}", name.chars().take(NAME_CHARS_SHOWN_MAX).collect::<String>()))
        .collect();
    if names.len() > NAMES_SHOWN_MAX {
        shown.push("...".to_owned());
    }
    shown.join(", ")
}

/// What is to be said of a field that is not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Support {
    /// It has the value it has when nobody sets it.
    Idle,
    Unsupported,
    Unknown,
}

fn too_large() -> ApiError {
    metrics::body_refused("too_large");
    ApiError::body_too_large(BODY_BYTES_MAX)
}

/// A JSON object in which no field stands twice: of two values, nobody could say which one was meant.
struct Once(Map<String, Value>);

impl<'de> Deserialize<'de> for Once {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(OnceVisitor).map(Once)
    }
}

struct OnceVisitor;

impl<'de> Visitor<'de> for OnceVisitor {
    type Value = Map<String, Value>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
        let mut fields = Map::new();
        while let Some((name, value)) = access.next_entry::<String, Value>()? {
            let shown = shown(std::slice::from_ref(&name));
            if fields.insert(name, value).is_some() {
                return Err(A::Error::custom(format_args!("{shown} is given twice")));
            }
        }
        Ok(fields)
    }
}

impl FromRequest for Fields {
    type Error = ApiError;
    type Future = Pin<Box<dyn Future<Output = Result<Self, ApiError>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let is_json = request.content_type().eq_ignore_ascii_case("application/json");
        let announced =
            request.headers().get(header::CONTENT_LENGTH).and_then(|bytes| bytes.to_str().ok()?.parse().ok());
        let payload = web::Payload::from_request(request, payload);
        Box::pin(async move {
            if !is_json {
                return Err(ApiError::unsupported_media_type());
            }
            if announced.is_some_and(|bytes: usize| bytes > BODY_BYTES_MAX) {
                return Err(too_large());
            }
            let payload = payload.await.map_err(|error| ApiError::bad_request(error.to_string()))?;
            match timeout(BODY_TIMEOUT, payload.to_bytes_limited(BODY_BYTES_MAX)).await {
                Ok(Ok(Ok(body))) => Fields::parse(&body),
                Ok(Ok(Err(error))) => Err(ApiError::bad_request(format!("The body cannot be read: {error}."))),
                Ok(Err(_)) => Err(too_large()),
                Err(_) => {
                    metrics::body_refused("too_slow");
                    Err(ApiError::body_too_slow(BODY_TIMEOUT))
                }
            }
        })
    }
}
