//! A bound around the SDK's queue: the SDK says nobody how many spans it drops.

use std::{sync::Arc, time::Duration};

use opentelemetry::Context;
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    trace::{Span, SpanData, SpanExporter, SpanProcessor},
};

use super::{
    answer::{Answer, LastAnswer},
    losses::{Losses, Reason},
};

/// Lets so many spans into a queue as may wait, until [`Counted`] says that they do so no more, and counts those that it does not let in.
#[derive(Debug)]
pub(super) struct Bounded<Q> {
    queue: Q,
    losses: Arc<Losses>,
}

impl<Q> Bounded<Q> {
    pub fn new(queue: Q, losses: Arc<Losses>) -> Self {
        Bounded { queue, losses }
    }
}

impl<Q: SpanProcessor> SpanProcessor for Bounded<Q> {
    fn on_start(&self, span: &mut Span, context: &Context) {
        self.queue.on_start(span, context);
    }

    fn on_end(&self, span: SpanData) {
        if self.losses.admit() {
            self.queue.on_end(span);
        } else {
            self.losses.lost(1, Reason::Full, &"too many wait for the collector");
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.queue.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.queue.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.queue.set_resource(resource);
    }
}

/// Sends batches, one at a time, and counts what was not taken.
#[derive(Debug)]
pub(super) struct Counted<E> {
    exporter: E,
    /// What was answered to the batch just sent.
    answer: LastAnswer,
    losses: Arc<Losses>,
}

impl<E> Counted<E> {
    pub fn new(exporter: E, answer: LastAnswer, losses: Arc<Losses>) -> Self {
        Counted { exporter, answer, losses }
    }
}

impl<E: SpanExporter> SpanExporter for Counted<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        let taken = self.exporter.export(batch).await;
        self.losses.done(spans);
        let Answer { rejected, why } = self.answer.take();
        match (&taken, why) {
            (Err(_), Some(why)) => self.losses.lost(spans, Reason::Refused, &why),
            (Err(error), None) => self.losses.lost(spans, Reason::Refused, error),
            (Ok(()), why) if rejected > 0 => {
                let why = why.unwrap_or_else(|| "the collector does not say why".to_owned());
                self.losses.lost(rejected.min(spans), Reason::Refused, &why);
            }
            (Ok(()), Some(why)) => tracing::debug!(why, "the collector takes spans, and warns"),
            (Ok(()), None) => {}
        }
        taken
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn shutdown(&self) -> OTelSdkResult {
        self.exporter.shutdown()
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

#[cfg(test)]
mod tests;
