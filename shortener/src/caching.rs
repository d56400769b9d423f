//! What caches on the way are told.

use actix_http::header::HeaderValue;

/// No cache keeps this answer: not a redirect, not even a permanent one, as clicks are counted here and links change; and not what the API says to whoever
/// has a key, or of a key.
pub const KEPT_NOWHERE: HeaderValue = HeaderValue::from_static("private, no-store");
