//! Ports that stay an engine's own while it is killed and started again.

use std::{
    io,
    net::{Ipv4Addr, TcpListener, UdpSocket},
    ops::Range,
};

use rand::RngExt;

/// Below the ports that Linux (32768 and up) and macOS (49152 and up) hand out by themselves: while an engine is down, no
/// connection and no listener on port 0 gets its port.
const RANGE: Range<u16> = 18_000..30_000;

/// So many numbers are tried before giving up.
const ATTEMPTS: u32 = 200;

/// A TCP port of 127.0.0.1 that nobody else takes while this lives.
///
/// The UDP port of the same number is held as the mark of that. It goes with the process, however that ends.
#[derive(Debug)]
pub struct Port {
    number: u16,
    _mark: UdpSocket,
}

impl Port {
    /// Any free one.
    ///
    /// # Errors
    /// When none is found.
    pub fn take() -> io::Result<Self> {
        let mut rng = rand::rng();
        (0..ATTEMPTS)
            .find_map(|_| Self::take_number(rng.random_range(RANGE)))
            .ok_or_else(|| io::Error::new(io::ErrorKind::AddrInUse, format!("no free port among {RANGE:?}")))
    }

    /// Port `number`, unless somebody holds it or listens on it.
    fn take_number(number: u16) -> Option<Self> {
        let mark = UdpSocket::bind((Ipv4Addr::LOCALHOST, number)).ok()?;
        TcpListener::bind((Ipv4Addr::LOCALHOST, number)).ok()?;
        Some(Self { number, _mark: mark })
    }

    pub fn number(&self) -> u16 {
        self.number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seen to fail without the mark.
    #[test]
    fn a_port_is_taken_once_though_nobody_listens_on_it() {
        let port = Port::take().unwrap();
        assert!(Port::take_number(port.number()).is_none());
        TcpListener::bind((Ipv4Addr::LOCALHOST, port.number())).expect("its holder can listen");
    }

    /// Seen to fail when only the mark was looked at.
    #[test]
    fn a_port_that_somebody_listens_on_is_not_taken() {
        let number = Port::take().unwrap().number();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, number)).unwrap();
        assert!(Port::take_number(number).is_none());
        drop(listener);
    }
}
