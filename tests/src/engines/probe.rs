//! Whether an engine answers in its own protocol.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

/// How long an engine may take to connect and to answer.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Connects, sends `request`, and reads `N` bytes of the answer.
pub fn ask<const N: usize>(address: SocketAddr, request: &[u8]) -> io::Result<[u8; N]> {
    let mut stream = connect(address)?;
    stream.write_all(request)?;
    let mut answer = [0; N];
    stream.read_exact(&mut answer)?;
    Ok(answer)
}

/// A connection on which nothing waits for ever.
pub fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    Ok(stream)
}
