//! Requests that no well-behaved client would send, byte for byte.

use std::{
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::{Context, Result, bail};

use crate::http1;

/// How long an answer may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// An answer's parts, owned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub location: Option<Vec<u8>>,
    pub body: Vec<u8>,
}

/// Sends `request` on a connection of its own and returns the first answer.
///
/// # Errors
/// When the connection ends or ten seconds pass without a complete answer.
pub fn exchange(addr: SocketAddr, request: &[u8]) -> Result<Answer> {
    let mut stream = connect(addr)?;
    // The server may answer, and close, before it has read everything.
    match stream.write_all(request) {
        Err(error) if !matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset) => Err(error.into()),
        _ => answer(&mut stream, request.starts_with(b"HEAD ")),
    }
}

/// A connection whose reads give up after ten seconds.
///
/// # Errors
/// When nothing listens there.
pub fn connect(addr: SocketAddr) -> Result<TcpStream> {
    let stream = TcpStream::connect(addr)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
    Ok(stream)
}

/// Reads one answer from `stream`.
///
/// # Errors
/// When the connection ends or its time passes without a complete answer.
pub fn answer(stream: &mut TcpStream, to_head: bool) -> Result<Answer> {
    let (mut input, mut chunk) = (Vec::new(), [0; 4096]);
    loop {
        if let Some(answer) = http1::first_answer(&input, to_head)? {
            let location = answer.location.map(<[u8]>::to_vec);
            return Ok(Answer { status: answer.status, location, body: answer.body.to_vec() });
        }
        match stream.read(&mut chunk).context("no answer in time")? {
            0 => bail!("closed after {} bytes without an answer", input.len()),
            n => input.extend_from_slice(&chunk[..n]),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{net::TcpListener, thread};

    use super::*;

    #[test]
    fn an_answer_that_comes_in_pieces_is_read_whole() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.read_exact(&mut [0; 4]).unwrap();
            for piece in ["HTTP/1.1 400 Bad Request\r\nContent-", "Length: 5\r\n\r\nsor", "ry"] {
                stream.write_all(piece.as_bytes()).unwrap();
                stream.flush().unwrap();
            }
        });
        let answer = exchange(addr, b"\0\r\n\n").unwrap();
        assert_eq!(answer, Answer { status: 400, location: None, body: b"sorry".to_vec() });
        server.join().unwrap();
    }
}
