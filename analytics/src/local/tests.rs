//! Tests of the local stream.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr},
    sync::mpsc,
};

use tempfile::TempDir;

use super::*;
use crate::{
    click::Place,
    click_log::{ClickLogs, ClickWriter, Options},
    conformance::stream::{self, StreamHarness},
};

const WAIT: Duration = Duration::from_secs(60);

/// Click logs with segments so small that they roll over all the time.
struct Harness {
    folder: TempDir,
    logs: Option<ClickLogs>,
    writers: BTreeMap<usize, ClickWriter>,
}

fn open_logs(folder: &TempDir) -> ClickLogs {
    let options = Options { segment_bytes: 4096, disk_max_bytes: 16 << 20, ..Options::default() };
    ClickLogs::open(folder.path(), options).expect("the logs open")
}

impl Harness {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        Self { logs: Some(open_logs(&folder)), folder, writers: BTreeMap::new() }
    }

    fn logs(&self) -> &ClickLogs {
        self.logs.as_ref().expect("the logs are open")
    }

    fn click(&mut self, log: usize, link: u64) -> (LogId, u64) {
        let logs = self.logs.as_ref().expect("the logs are open");
        let writer = self.writers.entry(log).or_insert_with(|| logs.writer().expect("there is room"));
        let raw = RawClick {
            at_ms: link as i64,
            link,
            peer: IpAddr::V4(Ipv4Addr::LOCALHOST),
            user_agent: b"an agent of some length",
            referer: b"",
            forwarded_for: b"",
            country: b"",
        };
        (writer.log(), writer.append(&raw).expect("there is room"))
    }

    fn stream(&self) -> LocalStream {
        LocalStream::open(self.logs().reader().expect("the only reader"), enrich)
    }

    async fn begun(&self, progress: &Progress) -> LocalStream {
        begun(self.stream(), progress).await
    }
}

/// A stream whose source was opened and begun.
async fn begun(mut stream: LocalStream, progress: &Progress) -> LocalStream {
    assert_eq!(stream.next(10, WAIT).await.unwrap(), Delivery::Opened(source()));
    stream.begin(&source(), progress).await.unwrap();
    stream
}

/// The clicks that come next.
async fn batch(stream: &mut LocalStream) -> Batch {
    match stream.next(10, WAIT).await.unwrap() {
        Delivery::Clicks(batch) => batch,
        other => panic!("{other:?}"),
    }
}

fn enrich(raw: &RawClick<'_>, log: LogId, offset: u64) -> Click {
    let unknown = || "".into();
    Click {
        log,
        offset,
        at_ms: raw.at_ms,
        link: raw.link,
        visitor: 0,
        bot: false,
        place: Place::default(),
        browser: unknown(),
        os: unknown(),
        device: unknown(),
        referer: unknown(),
    }
}

#[async_trait]
impl StreamHarness for Harness {
    async fn append(&mut self, log: usize, link: u64) -> (LogId, u64) {
        self.click(log, link)
    }

    async fn seal(&mut self, log: usize) {
        self.writers.remove(&log);
    }

    async fn restart(&mut self) {
        self.writers.clear();
        self.logs = None;
        self.logs = Some(open_logs(&self.folder));
    }

    async fn open(&mut self) -> Box<dyn ClickStream> {
        Box::new(self.stream())
    }
}

/// Seen to fail when a stream opened anew took no notice of the progress (what was released came again), when numbers
/// began at one again, and when a log was reported gone as soon as it had been read.
#[tokio::test]
async fn keeps_the_contract() {
    stream::all(async || Harness::new()).await;
}

/// Logs that were counted and have no files any more are reported, so that the progress does not grow for ever. Seen to
/// fail when only logs deleted by this stream were.
#[tokio::test]
async fn logs_without_files_are_gone() {
    let mut harness = Harness::new();
    let (here, _) = harness.click(0, 1);
    let (lost, also_lost) = (LogId(1), LogId(2));
    let logs = BTreeMap::from([(here, 1), (lost, 100), (also_lost, 200)]);
    let mut stream = harness.begun(&Progress { watermark: 5, logs }).await;
    let batch = batch(&mut stream).await;
    assert_eq!(batch.gone, [lost, also_lost]);
    assert_eq!(batch.clicks.len(), 1);
    assert_eq!(batch.clicks[0].sequence, 6);
}

/// Seen to fail when what the job of a cancelled call had read was thrown away.
#[tokio::test]
async fn a_cancelled_call_loses_nothing() {
    let mut harness = Harness::new();
    for link in 0..10 {
        harness.click(0, link);
    }
    let (started, mut has_started) = tokio::sync::mpsc::unbounded_channel();
    let (go_on, may_go_on) = mpsc::channel::<()>();
    let held = move |raw: &RawClick<'_>, log, offset| {
        started.send(()).expect("the test waits for it");
        may_go_on.recv().ok();
        enrich(raw, log, offset)
    };
    let reader = harness.logs().reader().unwrap();
    let mut stream = begun(LocalStream::open(reader, held), &Progress::default()).await;
    tokio::select! {
        _ = stream.next(10, WAIT) => panic!("the job is held"),
        _ = has_started.recv() => {}
    }
    assert!(matches!(stream.work, Work::Busy(_)));
    drop(go_on);
    let batch = batch(&mut stream).await;
    let links: Vec<_> = batch.clicks.iter().map(|sequenced| sequenced.click.link).collect();
    assert_eq!(links, (0..10).collect::<Vec<_>>());
}

/// Whatever the enricher does with one record, those around it are delivered as ever, and it is as well. Seen to fail (the stream was lost)
/// when the panic went through, and when it was not counted.
#[tokio::test]
async fn a_record_that_cannot_be_enriched_is_delivered_bare() {
    let mut harness = Harness::new();
    let clicks: Vec<_> = (0..6).map(|link| harness.click(0, link)).collect();
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let poisoned = |raw: &RawClick<'_>, log, offset| match raw.link % 2 {
        0 => panic!("link {} on purpose", raw.link),
        _ => Click { bot: true, visitor: 7, browser: "Firefox".into(), ..enrich(raw, log, offset) },
    };
    let reader = harness.logs().reader().unwrap();
    let stream = metrics::with_local_recorder(&recorder, || LocalStream::open(reader, poisoned));
    let mut stream = begun(stream, &Progress::default()).await;
    let batch = batch(&mut stream).await;
    let delivered: Vec<_> = batch.clicks.iter().map(|Sequenced { click, .. }| (click.log, click.offset)).collect();
    assert_eq!(delivered, clicks);
    let mut visitors = BTreeSet::new();
    for (link, Sequenced { sequence, click }) in (0..).zip(&batch.clicks) {
        assert_eq!((*sequence, click.link, click.at_ms), (link + 1, link, link as i64));
        let enriched = link % 2 == 1;
        assert_eq!((click.bot, &*click.browser), (enriched, if enriched { "Firefox" } else { "" }));
        visitors.insert(click.visitor);
    }
    assert_eq!(visitors.len(), 3 + 1, "each bare click's visitor is a new one");
    let counts = recorder.handle().render();
    assert!(counts.contains("septet_enrich_panics_total 3"), "{counts}");
}

#[tokio::test]
async fn a_reader_that_panics_is_lost_and_never_drained() {
    let harness = Harness::new();
    let mut stream = harness.begun(&Progress::default()).await;
    assert!(stream.run(|_| panic!("on purpose")).await.is_err());
    for _ in 0..2 {
        let error = stream.next(10, WAIT).await.unwrap_err();
        assert!(matches!(error, StreamError::Lost(_)) && error.to_string().contains("panicked"), "{error}");
    }
    assert!(!stream.is_drained().await);
}

#[tokio::test]
async fn another_source_is_refused() {
    let harness = Harness::new();
    let mut stream = harness.stream();
    let error = stream.release(&Source("clicks-0".to_owned()), &Progress::default()).await.unwrap_err();
    assert!(error.to_string().contains("clicks-0"), "{error}");
}

/// Drained means delivered and released, all of it. Seen to fail when what was delivered was enough.
#[tokio::test]
async fn is_drained_when_all_is_released() {
    let mut harness = Harness::new();
    let mut stream = harness.begun(&Progress::default()).await;
    let mut progress = Progress::default();
    for link in 0..3 {
        let (log, offset) = harness.click(0, link);
        assert!(!stream.is_drained().await, "nothing was delivered yet");
        progress.watermark = batch(&mut stream).await.through;
        assert!(!stream.is_drained().await, "nothing was released yet");
        progress.logs.insert(log, offset);
        stream.release(&source(), &progress).await.unwrap();
        assert!(stream.is_drained().await);
    }
}
