//! Collectors that take a part, or nothing, or say nothing.

use std::{
    io::{Read, Write},
    net::TcpListener,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::Instant,
};

use metrics_exporter_prometheus::PrometheusBuilder;
use opentelemetry::trace::Tracer;
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTracePartialSuccess, ExportTraceServiceResponse};
use opentelemetry_sdk::{
    error::OTelSdkResult,
    trace::{SpanData, SpanExporter as _},
};
use parking_lot::Mutex;
use prost::Message;

use super::*;

/// So long a test waits for a collector that says nothing.
const SHORT: Duration = Duration::from_millis(300);
/// So long that only a hanging collector reaches it.
const PATIENCE: Duration = Duration::from_secs(20);

/// A collector that answers every call with these bytes, or never; how often it was called.
fn collector(answer: Option<Vec<u8>>) -> (Endpoint, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    thread::spawn(move || {
        let mut unanswered = Vec::new();
        for mut connection in listener.incoming().flatten() {
            // A batch of three spans comes at once.
            let _ = connection.read(&mut [0; 64 << 10]);
            counted.fetch_add(1, Ordering::SeqCst);
            match &answer {
                Some(answer) => drop(connection.write_all(answer)),
                None => unanswered.push(connection),
            }
        }
    });
    (endpoint, calls)
}

fn answer(status: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

/// Spans as they come out of the SDK.
fn spans(count: usize) -> Vec<SpanData> {
    #[derive(Debug, Clone, Default)]
    struct Kept(Arc<Mutex<Vec<SpanData>>>);
    impl opentelemetry_sdk::trace::SpanExporter for Kept {
        async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
            self.0.lock().extend(batch);
            Ok(())
        }
    }
    let kept = Kept::default();
    let provider = SdkTracerProvider::builder().with_simple_exporter(kept.clone()).build();
    let tracer = provider.tracer("test");
    (0..count).for_each(|_| drop(tracer.start("span")));
    std::mem::take(&mut *kept.0.lock())
}

/// Sends three spans: whether it went well, how many were counted as refused, and what would be logged.
async fn send(endpoint: &Endpoint, timeout: Duration) -> (bool, usize, String) {
    let recorder = PrometheusBuilder::new().build_recorder();
    let _recording = metrics::set_default_local_recorder(&recorder);
    let losses = Arc::new(Losses::new(SPANS_WAITING_MAX));
    let exporter = exporter(endpoint, timeout, Handle::current(), &losses).unwrap();
    let batch = spans(3);
    batch.iter().for_each(|_| assert!(losses.admit()));
    let taken = exporter.export(batch).await.is_ok();
    assert_eq!(losses.waiting(), 0);
    let rendered = recorder.handle().render();
    let refused =
        rendered.lines().find_map(|line| line.strip_prefix("septet_spans_dropped_total{reason=\"refused\"} "));
    (taken, refused.unwrap().parse().unwrap(), losses.last_logged().unwrap_or_default())
}

/// Seen to fail when only a batch that was refused as a whole was counted, and when more were counted than were sent.
#[tokio::test]
async fn spans_that_a_collector_rejects_are_counted() {
    for (rejected, lost) in [(2, 2), (99, 3), (0, 0), (-1, 0)] {
        let partial = ExportTracePartialSuccess { rejected_spans: rejected, error_message: "too\nold".to_owned() };
        let body = ExportTraceServiceResponse { partial_success: Some(partial) }.encode_to_vec();
        let (endpoint, _) = collector(Some(answer("200 OK", &body)));
        let why = if lost > 0 { "too old" } else { "" };
        assert_eq!(send(&endpoint, PATIENCE).await, (true, lost, why.to_owned()), "{rejected}");
    }
    for body in ["", "<html>welcome</html>"] {
        let (endpoint, _) = collector(Some(answer("200 OK", body.as_bytes())));
        assert_eq!(send(&endpoint, PATIENCE).await, (true, 0, String::new()), "{body}");
    }
}

/// Seen to fail with the exporter's own retries.
#[tokio::test]
async fn a_batch_is_sent_once_and_not_for_longer_than_it_may_take() {
    let (endpoint, calls) = collector(Some(answer("503 Service Unavailable", b"")));
    let (taken, lost, why) = send(&endpoint, PATIENCE).await;
    assert_eq!((taken, lost, calls.load(Ordering::SeqCst)), (false, 3, 1));
    assert!(why.contains("503"), "{why}");

    let (endpoint, calls) = collector(None);
    let began = Instant::now();
    let (taken, lost, why) = send(&endpoint, SHORT).await;
    assert_eq!((taken, lost, calls.load(Ordering::SeqCst)), (false, 3, 1));
    assert!(began.elapsed() < PATIENCE && why.contains("timed out"), "{:?}: {why}", began.elapsed());
}

/// Seen to fail when the log said "network error" of all of them.
#[tokio::test]
async fn the_log_says_why_there_is_no_answer() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (taken, lost, why) = send(&format!("http://{nobody}").parse().unwrap(), PATIENCE).await;
    assert_eq!((taken, lost), (false, 3));
    assert!(why.contains("refused"), "{why}");

    let (endpoint, calls) = collector(Some(answer("200 OK", &vec![b' '; 1 << 20])));
    let (taken, lost, why) = send(&endpoint, PATIENCE).await;
    assert_eq!((taken, lost, calls.load(Ordering::SeqCst)), (false, 3, 1));
    assert!(why.contains("longer than"), "{why}");

    // It speaks no TLS.
    let (endpoint, _) = collector(Some(answer("400 Bad Request", b"")));
    let endpoint = endpoint.as_str().replace("http://", "https://").parse().unwrap();
    let (taken, lost, why) = send(&endpoint, PATIENCE).await;
    assert_eq!((taken, lost), (false, 3));
    assert!(why.contains("InvalidContentType") || why.contains("corrupt message"), "{why}");
}
