//! The span of a batch of clicks.

use std::time::{SystemTime, UNIX_EPOCH};

use traces::{Kind, Span, Traceparent};

use crate::stream::Sequenced;

/// Begins one, if there are clicks, which says how many clicks there are, and how long ago the first of them was made: what lies between its redirect and this span.
pub fn begin(parent: Option<&Traceparent>, kind: Kind, name: &'static str, clicks: &[Sequenced]) -> Span {
    // What only tells that click logs have ended is nobody's trace.
    if clicks.is_empty() {
        return Span::default();
    }
    let span = Span::of(parent, kind, name);
    if span.is_traced() {
        span.set("messaging.batch.message_count", i64::try_from(clicks.len()).unwrap_or(i64::MAX));
        let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64);
        if let Some(oldest_ms) = clicks.iter().map(|sequenced| sequenced.click.at_ms).min() {
            span.set("septet.oldest_click_age_ms", now_ms - oldest_ms);
        }
    }
    span
}
