//! Enriching a record, and what becomes of one that cannot be enriched: a panic costs a click its fields, and never the click.

use std::{
    any::Any,
    collections::HashSet,
    hash::{DefaultHasher, Hash, Hasher},
    panic::{AssertUnwindSafe, catch_unwind},
};

use metrics::{Counter, counter, describe_counter};

use crate::{
    click::{Click, LogId, Place, Text},
    click_log::RawClick,
};

/// Panics that are told in the log: each once by its message, and of messages so many at most.
const KINDS_TOLD_MAX: usize = 16;

type Enrich = Box<dyn FnMut(&RawClick<'_>, LogId, u64) -> Click + Send>;

/// Enriches, come what may.
pub(super) struct Guard {
    enrich: Enrich,
    panics: Counter,
    told: HashSet<String>,
}

impl Guard {
    pub(super) fn new(enrich: impl FnMut(&RawClick<'_>, LogId, u64) -> Click + Send + 'static) -> Self {
        describe_counter!("septet_enrich_panics_total", "Clicks counted with empty fields, as enriching them failed");
        Self { enrich: Box::new(enrich), panics: counter!("septet_enrich_panics_total"), told: HashSet::new() }
    }

    /// The click of a record: a bare one, if enriching it panics.
    pub(super) fn click(&mut self, raw: &RawClick<'_>, log: LogId, offset: u64) -> Click {
        let enrich = &mut self.enrich;
        // An enricher holds caches and settings: a panic leaves them without an entry at worst.
        catch_unwind(AssertUnwindSafe(|| enrich(raw, log, offset))).unwrap_or_else(|panic| {
            self.panics.increment(1);
            self.tell(message(&*panic), log, offset);
            bare(raw, log, offset)
        })
    }

    fn tell(&mut self, message: &str, log: LogId, offset: u64) {
        if self.told.len() < KINDS_TOLD_MAX && self.told.insert(message.to_owned()) {
            tracing::error!(%log, offset, message, "a click could not be enriched: it is counted with empty fields");
        }
    }
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let formatted = || panic.downcast_ref::<String>().map(String::as_str);
    panic.downcast_ref::<&str>().copied().or_else(formatted).unwrap_or("a panic without a message")
}

/// What is known of a record without a look into its headers. Its visitor, who cannot be told from others, counts as a new one.
fn bare(raw: &RawClick<'_>, log: LogId, offset: u64) -> Click {
    let mut visitor = DefaultHasher::new();
    (log, offset).hash(&mut visitor);
    let unknown = Text::default;
    Click {
        log,
        offset,
        at_ms: raw.at_ms,
        link: raw.link,
        visitor: visitor.finish(),
        bot: false,
        place: Place::default(),
        browser: unknown(),
        os: unknown(),
        device: unknown(),
        referer: unknown(),
    }
}
