//! Queues that hold, and collectors that refuse.

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

/// Seen to fail when spans were let in without being counted, and when those that were sent were counted on.
#[tokio::test]
async fn no_more_wait_than_may_and_there_is_room_again_once_they_are_sent() {
    let (kept, losses) = (Kept::default(), Arc::new(Losses::default()));
    let bounded = Bounded::new(kept.clone(), 3, Arc::clone(&losses));
    let provider = SdkTracerProvider::builder().with_span_processor(bounded).build();
    let tracer = provider.tracer("test");
    let make = |spans: usize| (0..spans).for_each(|_| drop(tracer.start("span")));
    make(5);
    assert_eq!((kept.0.lock().len(), losses.waiting()), (3, 3));
    for takes in [true, false] {
        let batch = std::mem::take(&mut *kept.0.lock());
        let sent = Counted::new(Collector { takes }, Arc::clone(&losses)).export(batch).await;
        assert_eq!((sent.is_ok(), losses.waiting()), (takes, 0));
        make(4);
        assert_eq!((kept.0.lock().len(), losses.waiting()), (3, 3));
    }
}
