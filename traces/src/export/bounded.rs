//! A bound around the SDK's queue: the SDK says nobody how many spans it drops.

use std::{sync::Arc, time::Duration};

use opentelemetry::Context;
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    trace::{Span, SpanData, SpanExporter, SpanProcessor},
};

use super::losses::{Losses, Reason};

/// Lets so many spans into a queue as may wait, until [`Counted`] says that they do so no more, and counts those that it does not let in.
#[derive(Debug)]
pub(super) struct Bounded<Q> {
    queue: Q,
    max: usize,
    losses: Arc<Losses>,
}

impl<Q> Bounded<Q> {
    pub fn new(queue: Q, max: usize, losses: Arc<Losses>) -> Self {
        Bounded { queue, max, losses }
    }
}

impl<Q: SpanProcessor> SpanProcessor for Bounded<Q> {
    fn on_start(&self, span: &mut Span, context: &Context) {
        self.queue.on_start(span, context);
    }

    fn on_end(&self, span: SpanData) {
        if self.losses.admit(self.max) {
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

/// Sends batches, and counts what was not taken.
#[derive(Debug)]
pub(super) struct Counted<E> {
    exporter: E,
    losses: Arc<Losses>,
}

impl<E> Counted<E> {
    pub fn new(exporter: E, losses: Arc<Losses>) -> Self {
        Counted { exporter, losses }
    }
}

impl<E: SpanExporter> SpanExporter for Counted<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        let taken = self.exporter.export(batch).await;
        self.losses.done(spans);
        if let Err(error) = &taken {
            self.losses.lost(spans, Reason::Refused, error);
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
