//! How spans get to a collector: by a queue of so many, in batches, from a thread of its own.
//!
//! | limit | when it is reached | metric |
//! |---|---|---|
//! | [`SPANS_WAITING_MAX`] spans wait or are being sent | the next ones are dropped | `septet_spans_waiting`, `septet_spans_dropped_total` |
//! | [`EXPORT_TIMEOUT`] for a batch, which is sent once | it is given up, and its spans are dropped | `septet_spans_dropped_total` |
//! | [`FLUSH_TIMEOUT_MAX`] at the end | what was not sent is dropped | |

mod answer;
mod bounded;
mod http;
mod losses;

use std::{sync::Arc, time::Duration};

use anyhow::Context;
use opentelemetry::{KeyValue, trace::TracerProvider};
use opentelemetry_otlp::{Protocol, RetryPolicy, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::{
    Resource,
    trace::{BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracerProvider},
};
use tokio::{runtime::Handle, task::spawn_blocking};
use uuid::Uuid;

use self::{
    answer::LastAnswer,
    bounded::{Bounded, Counted},
    http::Http,
    losses::Losses,
};
use crate::{Endpoint, TracesSettings, span::Tracing};

/// Spans that wait or are being sent, at most; about a kilobyte each.
const SPANS_WAITING_MAX: usize = 8_192;
/// Spans that are sent at once.
const BATCH_SPANS_MAX: usize = 512;
/// How long a span waits at most before it is sent, while the collector keeps up.
const SENT_AFTER: Duration = Duration::from_secs(1);
/// How long a collector may take for a batch, until its answer is read. Nothing is sent twice: while one batch is tried again, thousands of spans come.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the last spans are waited for at the end, if a step of stopping may take as long.
const FLUSH_TIMEOUT_MAX: Duration = Duration::from_secs(2);

/// Traces being made and sent.
pub struct Traces {
    /// `None` where nothing is traced.
    sending: Option<Sending>,
}

struct Sending {
    provider: SdkTracerProvider,
    losses: Arc<Losses>,
}

/// Starts to trace as the settings say, in the name of a service. Metrics must be recorded already. Calls to the collector run on `runtime`, which must not
/// wait for anything else.
///
/// # Errors
/// When no client can be made for the collector's URL. Whether it answers, is not asked.
pub fn start(
    settings: &TracesSettings,
    service: &'static str,
    version: &'static str,
    runtime: Handle,
) -> anyhow::Result<Traces> {
    let Some(endpoint) = &settings.otlp_endpoint else { return Ok(Traces { sending: None }) };
    let losses = Arc::new(Losses::new(SPANS_WAITING_MAX));
    let exporter = exporter(endpoint, EXPORT_TIMEOUT, runtime, &losses)?;
    let limits = BatchConfigBuilder::default()
        .with_max_queue_size(SPANS_WAITING_MAX)
        .with_max_export_batch_size(BATCH_SPANS_MAX)
        .with_scheduled_delay(SENT_AFTER)
        .build();
    let queue = BatchSpanProcessor::builder(exporter).with_batch_config(limits).build();
    let provider = SdkTracerProvider::builder()
        .with_span_processor(Bounded::new(queue, Arc::clone(&losses)))
        // Lots are drawn before there is a span.
        .with_sampler(Sampler::AlwaysOn)
        .with_resource(resource(service, version))
        .build();
    let tracing = Tracing { tracer: provider.tracer("septet"), ratio: settings.traces_ratio };
    anyhow::ensure!(tracing.begin(), "traces were started before");
    tracing::info!(endpoint = endpoint.as_str(), ratio = settings.traces_ratio, "traces are sent");
    Ok(Traces { sending: Some(Sending { provider, losses }) })
}

/// What sends a batch, once, and counts what the collector does not take of it.
fn exporter(
    endpoint: &Endpoint,
    timeout: Duration,
    runtime: Handle,
    losses: &Arc<Losses>,
) -> anyhow::Result<Counted<SpanExporter>> {
    let answer = LastAnswer::default();
    let exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(Http::new(endpoint, timeout, runtime, answer.clone())?)
        // It would sleep in between, and begin an attempt as long as any time is left.
        .with_retry_policy(RetryPolicy::disabled())
        .with_endpoint(endpoint.as_str())
        .with_protocol(Protocol::HttpBinary)
        .build()
        .context("--otlp-endpoint cannot be used")?;
    Ok(Counted::new(exporter, answer, Arc::clone(losses)))
}

/// Who this is. `OTEL_RESOURCE_ATTRIBUTES` may say more.
fn resource(service: &'static str, version: &'static str) -> Resource {
    Resource::builder()
        .with_service_name(service)
        .with_attributes([
            KeyValue::new("service.version", version),
            KeyValue::new("service.instance.id", Uuid::new_v4().to_string()),
        ])
        .build()
}

impl Traces {
    /// Sends what is left, for so long at most, and traces no more. Spans that a collector does not take by then are lost, which is no fault of the stop.
    pub async fn stop(self, patience: Duration) -> anyhow::Result<()> {
        let Traces { sending: Some(Sending { provider, losses }) } = self else { return Ok(()) };
        // Less than the step may take, so that it is not missed by that.
        let patience = FLUSH_TIMEOUT_MAX.min(patience / 2);
        let sent = spawn_blocking(move || provider.shutdown_with_timeout(patience)).await?;
        if sent.is_err() {
            tracing::info!(
                spans = losses.waiting(),
                "the last spans are not sent, as the collector did not take them in time"
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
