//! Queues that hold, and collectors that refuse.

use metrics_exporter_prometheus::PrometheusBuilder;
use opentelemetry::trace::{Tracer, TracerProvider};
use opentelemetry_sdk::{error::OTelSdkError, trace::SdkTracerProvider};
use parking_lot::Mutex;

use super::*;

/// Keeps what it is given, as a queue does whose collector is away.
#[derive(Debug, Default, Clone)]
struct Kept(Arc<Mutex<Vec<SpanData>>>);

impl SpanProcessor for Kept {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        self.0.lock().push(span);
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

#[derive(Debug)]
struct Collector {
    takes: bool,
}

impl SpanExporter for Collector {
    async fn export(&self, _: Vec<SpanData>) -> OTelSdkResult {
        if self.takes { Ok(()) } else { Err(OTelSdkError::InternalFailure("refused".to_owned())) }
    }
}

/// Seen to fail when spans were let in without being counted, when those that were sent were counted on, when those that were not let in were dropped
/// without a word, and when those that were refused were.
#[tokio::test]
async fn no_more_wait_than_may_and_there_is_room_again_once_they_are_sent() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let recorded = recorder.handle();
    let _recording = metrics::set_default_local_recorder(&recorder);
    let (kept, losses) = (Kept::default(), Arc::new(Losses::new(3)));
    let bounded = Bounded::new(kept.clone(), Arc::clone(&losses));
    let provider = SdkTracerProvider::builder().with_span_processor(bounded).build();
    let tracer = provider.tracer("test");
    let make = |spans: usize| (0..spans).for_each(|_| drop(tracer.start("span")));
    let assert_counted = |waiting: usize, full: usize, refused: usize| {
        assert_eq!(losses.waiting(), waiting);
        let rendered = recorded.render();
        for line in [
            format!("septet_spans_waiting {waiting}"),
            "septet_spans_waiting_max 3".to_owned(),
            format!("septet_spans_dropped_total{{reason=\"full\"}} {full}"),
            format!("septet_spans_dropped_total{{reason=\"refused\"}} {refused}"),
        ] {
            assert!(rendered.lines().any(|rendered| rendered == line), "{line} in\n{rendered}");
        }
    };
    assert_counted(0, 0, 0);
    make(5);
    assert_eq!(kept.0.lock().len(), 3);
    assert_counted(3, 2, 0);
    for (takes, full, refused) in [(true, 2, 0), (false, 3, 3)] {
        let batch = std::mem::take(&mut *kept.0.lock());
        let counted = Counted::new(Collector { takes }, LastAnswer::default(), Arc::clone(&losses));
        assert_eq!(counted.export(batch).await.is_ok(), takes);
        assert_counted(0, full, refused);
        make(4);
        assert_eq!(kept.0.lock().len(), 3);
        assert_counted(3, full + 1, refused);
    }
}
