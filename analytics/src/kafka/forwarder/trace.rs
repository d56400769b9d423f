//! Traces of batches: from the click log to Kafka, and what tells those who count of it.

use std::collections::HashSet;

use traces::{Kind, Span};

use crate::{batch_span, stream::Sequenced};

/// A batch that is given to the producer; nothing of it is there if it is not traced.
#[derive(Default)]
pub(super) struct BatchTrace {
    batch: Span,
    producing: Span,
    traceparent: Option<String>,
    /// The partitions that were told.
    told: HashSet<i32>,
}

/// A batch on its way, until it is acknowledged.
#[derive(Debug)]
pub(super) struct SentTrace {
    // Ends first.
    acknowledging: Span,
    batch: Span,
}

impl BatchTrace {
    /// The ratio decides whether there is one.
    pub fn begin(clicks: &[Sequenced]) -> Self {
        Self::of(batch_span::begin(None, Kind::PRODUCER, "forward clicks", clicks))
    }

    pub(super) fn of(batch: Span) -> Self {
        if !batch.is_traced() {
            return Self::default();
        }
        let producing = batch.child(Kind::INTERNAL, "produce");
        Self { traceparent: batch.traceparent(), producing, batch, told: HashSet::new() }
    }

    /// What the next record of a partition is to carry: the first one of each is enough.
    pub fn told_to(&mut self, partition: i32) -> Option<&str> {
        let traceparent = self.traceparent.as_deref()?;
        self.told.insert(partition).then_some(traceparent)
    }

    /// All of it was given to the producer.
    pub fn sent(self) -> Option<SentTrace> {
        let Self { batch, producing, .. } = self;
        drop(producing);
        let acknowledging = batch.child(Kind::INTERNAL, "acknowledge");
        batch.is_traced().then_some(SentTrace { acknowledging, batch })
    }
}

impl SentTrace {
    /// Not all of it will be acknowledged.
    pub fn failed(&self) {
        self.acknowledging.failed();
        self.batch.failed();
    }
}
