//! A client's connection that repeats nothing: what fails on it has failed.

use std::{io, net::SocketAddr, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use septet_tests::{http1, raw::Answer};
use tokio::{net::TcpStream, time::timeout};

/// After so many requests another connection is made, so that new pods get their share.
const REQUESTS_MAX: u32 = 20;

/// How long an answer may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

const CHUNK_BYTES: usize = 4096;

/// Why there is no answer.
#[derive(Debug)]
pub struct Unanswered {
    /// Whether the request may have been heard.
    pub was_sent: bool,
    pub why: anyhow::Error,
}

/// Makes a connection when it has none, and keeps it while the server does.
#[derive(Debug)]
pub struct Connection {
    address: SocketAddr,
    open: Option<(TcpStream, u32)>,
}

impl Connection {
    pub fn new(address: SocketAddr) -> Self {
        Self { address, open: None }
    }

    /// Sends a request once.
    ///
    /// # Errors
    /// When no whole answer comes.
    pub async fn ask(&mut self, request: &[u8]) -> Result<Answer, Unanswered> {
        let not_sent = |why| Unanswered { was_sent: false, why };
        let (stream, requests) = match self.open.take() {
            // Closed by the server while nothing was asked: as the protocol has it, and no failure.
            Some((stream, requests)) if is_open(&stream).map_err(not_sent)? => (stream, requests),
            _ => (self.connect().await.map_err(not_sent)?, 0),
        };
        let asked = timeout(ANSWER_TIMEOUT, exchange(&stream, request)).await;
        let (answer, closes) = asked.unwrap_or_else(|_| bail_timeout()).map_err(|why| Unanswered {
            was_sent: true,
            why: why.context(format!("request {requests} of a connection")),
        })?;
        if !closes && requests + 1 < REQUESTS_MAX {
            self.open = Some((stream, requests + 1));
        }
        Ok(answer)
    }

    async fn connect(&self) -> Result<TcpStream> {
        let connected = timeout(ANSWER_TIMEOUT, TcpStream::connect(self.address)).await;
        let stream = connected.context("no connection in time")?.context("connecting")?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

fn bail_timeout() -> Result<(Answer, bool)> {
    bail!("no answer within {ANSWER_TIMEOUT:?}")
}

/// Whether the server has not closed an idle connection.
fn is_open(stream: &TcpStream) -> Result<bool> {
    match stream.try_read(&mut [0]) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(true),
        Ok(0) | Err(_) => Ok(false),
        Ok(_) => bail!("more was answered than asked"),
    }
}

/// Sends the request and reads its answer, and whether the server closes the connection behind it.
async fn exchange(stream: &TcpStream, request: &[u8]) -> Result<(Answer, bool)> {
    let mut sent = 0;
    while sent < request.len() {
        stream.writable().await?;
        match stream.try_write(&request[sent..]) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            written => sent += written.context("sending")?,
        }
    }
    let (mut input, mut chunk) = (Vec::new(), [0; CHUNK_BYTES]);
    loop {
        stream.readable().await?;
        match stream.try_read(&mut chunk) {
            Ok(0) => bail!("closed after {} bytes of an answer", input.len()),
            Ok(read) => input.extend_from_slice(&chunk[..read]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            Err(error) => return Err(error).context("receiving"),
        }
        if let Some(answer) = http1::first_answer(&input, request.starts_with(b"HEAD "))? {
            ensure!(answer.len == input.len(), "more was answered than asked");
            let location = answer.location.map(<[u8]>::to_vec);
            return Ok((Answer { status: answer.status, location, body: answer.body.to_vec() }, answer.closes));
        }
    }
}
