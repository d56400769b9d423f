//! A collector of traces: OTLP over HTTP, as much of it as binaries speak.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{AnyValue, KeyValue, any_value::Value},
    trace::v1::{Span, status::StatusCode},
};
use parking_lot::Mutex;
use prost::Message;
use septet_tests::wait;

/// How long a span may take to come: it waits for a second before it is sent, on a machine that is busy.
const COMES_WITHIN: Duration = Duration::from_secs(20);

/// A span as it came, with ids as they are written in a `traceparent`.
#[derive(Debug, Clone)]
pub struct Seen {
    pub service: String,
    pub trace: String,
    pub id: String,
    pub parent: String,
    pub name: String,
    pub failed: bool,
    attributes: Vec<KeyValue>,
}

impl Seen {
    pub fn text(&self, key: &str) -> Option<&str> {
        match self.value(key)? {
            Value::StringValue(text) => Some(text),
            other => panic!("{key} is {other:?}"),
        }
    }

    pub fn number(&self, key: &str) -> Option<i64> {
        match self.value(key)? {
            Value::IntValue(number) => Some(*number),
            other => panic!("{key} is {other:?}"),
        }
    }

    fn value(&self, key: &str) -> Option<&Value> {
        value_of(&self.attributes, key)
    }

    /// Whether it is a part of `parent`.
    pub fn is_in(&self, parent: &Seen) -> bool {
        self.trace == parent.trace && self.parent == parent.id
    }
}

#[derive(Default)]
struct Received {
    spans: Vec<Seen>,
    /// Everything, as it came.
    bytes: Vec<u8>,
    paths: Vec<String>,
}

/// Calls that a silent collector was sent.
#[derive(Default)]
struct Held {
    begun: AtomicUsize,
    /// Their callers wait no more.
    ended: AtomicUsize,
}

/// Listens until the test ends.
pub struct Collector {
    address: SocketAddr,
    received: Arc<Mutex<Received>>,
    held: Arc<Held>,
}

impl Collector {
    /// One that takes what it is sent.
    pub fn start() -> Self {
        Self::listen(true)
    }

    /// One that takes connections, and never answers.
    pub fn silent() -> Self {
        Self::listen(false)
    }

    fn listen(answers: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it listens");
        let received: Arc<Mutex<Received>> = Arc::default();
        let held: Arc<Held> = Arc::default();
        let (to, holding) = (Arc::clone(&received), Arc::clone(&held));
        thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let (to, holding) = (Arc::clone(&to), Arc::clone(&holding));
                if answers {
                    thread::spawn(move || while take(&connection, &to).is_some() {});
                } else {
                    thread::spawn(move || hold(&connection, &holding));
                }
            }
        });
        Collector { address, received, held }
    }

    /// The call that a [silent](Self::silent) one holds at this moment, and its caller waits for.
    pub fn holds(&self) -> Option<usize> {
        // The later one is read first: what has begun only grows.
        let ended = self.held.ended.load(Ordering::SeqCst);
        let begun = self.held.begun.load(Ordering::SeqCst);
        (begun > ended).then_some(begun)
    }

    /// What `--otlp-endpoint` is set to.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn spans(&self) -> Vec<Seen> {
        self.received.lock().spans.clone()
    }

    /// Waits until a span comes that `is_wanted`.
    pub async fn span(&self, what: &str, is_wanted: impl Fn(&Seen) -> bool) -> Seen {
        let find = async || self.spans().into_iter().find(&is_wanted);
        wait::until(what, COMES_WITHIN, find).await
    }

    /// Whether anything of what came holds this.
    pub fn has_seen(&self, text: &str) -> bool {
        self.received.lock().bytes.windows(text.len()).any(|part| part.eq_ignore_ascii_case(text.as_bytes()))
    }

    /// The paths that were called.
    pub fn paths(&self) -> Vec<String> {
        self.received.lock().paths.clone()
    }
}

/// Takes a call, and never answers.
fn hold(mut connection: &TcpStream, holding: &Held) {
    let mut part = [0; 64 << 10];
    if connection.read(&mut part).is_ok_and(|read| read > 0) {
        holding.begun.fetch_add(1, Ordering::SeqCst);
        while connection.read(&mut part).is_ok_and(|read| read > 0) {}
        holding.ended.fetch_add(1, Ordering::SeqCst);
    }
}

/// Takes one call; `None` at the end of the connection.
fn take(mut connection: &TcpStream, to: &Mutex<Received>) -> Option<()> {
    let mut reader = BufReader::new(connection);
    let (mut path, mut length) = (None, 0);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
        if path.is_none() {
            path = line.split(' ').nth(1).map(str::to_owned);
        } else if let Some((name, value)) = line.split_once(':') {
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse().expect("a length");
            }
        } else {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let request = ExportTraceServiceRequest::decode(body.as_slice()).expect("OTLP");
    let mut received = to.lock();
    received.spans.extend(seen(request));
    received.bytes.extend(body);
    received.paths.extend(path);
    drop(received);
    let answer = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\nContent-Length: 0\r\n\r\n";
    connection.write_all(answer).ok()
}

fn seen(request: ExportTraceServiceRequest) -> Vec<Seen> {
    let of_resource = request.resource_spans.into_iter().flat_map(|of| {
        let attributes = of.resource.expect("a service says who it is").attributes;
        for key in ["service.version", "service.instance.id"] {
            assert!(value_of(&attributes, key).is_some(), "{key} is missing: {attributes:?}");
        }
        let Some(Value::StringValue(service)) = value_of(&attributes, "service.name").cloned() else {
            panic!("service.name is missing: {attributes:?}")
        };
        of.scope_spans.into_iter().flat_map(|of| of.spans).map(move |span| (service.clone(), span))
    });
    of_resource.map(|(service, span)| Seen::of(service, span)).collect()
}

impl Seen {
    fn of(service: String, span: Span) -> Self {
        assert!(span.end_time_unix_nano >= span.start_time_unix_nano, "{span:?}");
        Seen {
            service,
            trace: hex(&span.trace_id),
            id: hex(&span.span_id),
            parent: hex(&span.parent_span_id),
            failed: span.status.is_some_and(|status| status.code() == StatusCode::Error),
            name: span.name,
            attributes: span.attributes,
        }
    }
}

fn value_of<'a>(attributes: &'a [KeyValue], key: &str) -> Option<&'a Value> {
    let found = attributes.iter().find(|attribute| attribute.key == key)?;
    match &found.value {
        Some(AnyValue { value: Some(value) }) => Some(value),
        _ => None,
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
