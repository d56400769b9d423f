//! A small HTTP server that answers as a test tells it, or does not.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use serde::Serialize;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

use crate::client::ServiceUrl;

/// A request as it arrived.
#[derive(Debug, Clone)]
pub struct Request {
    /// Path and query.
    pub target: String,
    /// By names in lower case.
    pub headers: HashMap<String, String>,
    pub body: String,
}

impl Request {
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).expect("a body of JSON")
    }
}

/// What the server does with a request.
#[derive(Debug, Clone)]
pub enum Reply {
    Answer {
        status: u16,
        header: Option<(&'static str, String)>,
        body: String,
    },
    /// The head of an answer, and less of a body than it says.
    CutOff,
    /// A good answer with this body, after so long.
    Late(Duration, String),
    /// Nothing, with the connection open.
    Hang,
}

impl Reply {
    pub fn ok(body: &impl Serialize) -> Self {
        Reply::json(200, body)
    }

    pub fn json(status: u16, body: &impl Serialize) -> Self {
        Reply::text(status, serde_json::to_string(body).expect("JSON"))
    }

    pub fn text(status: u16, body: impl Into<String>) -> Self {
        Reply::Answer { status, header: None, body: body.into() }
    }

    pub fn retry_after(self, seconds: &str) -> Self {
        self.with("Retry-After", seconds)
    }

    pub fn with(self, name: &'static str, value: &str) -> Self {
        match self {
            Reply::Answer { status, body, .. } => {
                Reply::Answer { status, header: Some((name, value.to_owned())), body }
            }
            other => other,
        }
    }
}

type Replies = dyn Fn(usize, &Request) -> Reply + Send + Sync;

/// Serves on loopback until it is dropped.
pub struct Server {
    pub address: SocketAddr,
    requests: Arc<Mutex<Vec<Request>>>,
    task: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    /// `replies` gets the number of the request, from 0 on, and the request.
    pub async fn start(replies: impl Fn(usize, &Request) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::<Mutex<Vec<Request>>>::default();
        let (replies, seen): (Arc<Replies>, _) = (Arc::new(replies), Arc::clone(&requests));
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            loop {
                let (connection, _) = listener.accept().await.unwrap();
                let (replies, seen) = (Arc::clone(&replies), Arc::clone(&seen));
                // Ends with the client's end of the connection, or with the server.
                connections.spawn(async move { serve(connection, &*replies, &seen).await.unwrap_or(()) });
            }
        });
        Self { address, requests, task }
    }

    pub fn url(&self) -> ServiceUrl {
        url_of(self.address)
    }

    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}

pub fn url_of(address: SocketAddr) -> ServiceUrl {
    ServiceUrl::parse(&format!("http://{address}")).unwrap()
}

/// A URL that nobody serves.
pub fn dead_url() -> ServiceUrl {
    // Port 1 (tcpmux) is nobody's on loopback, and no socket gets it by chance.
    ServiceUrl::parse("http://127.0.0.1:1").unwrap()
}

async fn serve(mut connection: TcpStream, replies: &Replies, seen: &Mutex<Vec<Request>>) -> std::io::Result<()> {
    let mut read = Vec::new();
    while let Some(request) = next_request(&mut connection, &mut read).await? {
        let reply = {
            let mut seen = seen.lock().unwrap();
            seen.push(request.clone());
            replies(seen.len() - 1, &request)
        };
        match reply {
            Reply::Answer { status, header, body } => answer(&mut connection, status, header, &body).await?,
            Reply::Late(wait, body) => {
                tokio::time::sleep(wait).await;
                answer(&mut connection, 200, None, &body).await?;
            }
            Reply::CutOff => {
                return connection.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{\"count\":").await;
            }
            Reply::Hang => std::future::pending().await,
        }
    }
    Ok(())
}

async fn answer(
    connection: &mut TcpStream,
    status: u16,
    header: Option<(&'static str, String)>,
    body: &str,
) -> std::io::Result<()> {
    let header = header.map_or(String::new(), |(name, value)| format!("{name}: {value}\r\n"));
    let length = body.len();
    let head = format!("HTTP/1.1 {status} Status\r\nContent-Length: {length}\r\n{header}\r\n");
    connection.write_all(format!("{head}{body}").as_bytes()).await
}

/// The next request of a connection; `None` at its end.
async fn next_request(connection: &mut TcpStream, read: &mut Vec<u8>) -> std::io::Result<Option<Request>> {
    loop {
        let text = String::from_utf8_lossy(read).into_owned();
        if let Some((head, rest)) = text.split_once("\r\n\r\n") {
            let mut lines = head.lines();
            let mut first = lines.next().unwrap().split(' ').map(str::to_owned);
            let headers: HashMap<_, _> = lines
                .filter_map(|line| line.split_once(": "))
                .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
                .collect();
            let length = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
            if rest.len() >= length {
                let body = rest[..length].to_owned();
                *read = rest.as_bytes()[length..].to_vec();
                let target = first.nth(1).unwrap();
                return Ok(Some(Request { target, headers, body }));
            }
        }
        let mut chunk = [0; 4096];
        match connection.read(&mut chunk).await? {
            0 => return Ok(None),
            length => read.extend_from_slice(&chunk[..length]),
        }
    }
}
