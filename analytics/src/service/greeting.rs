//! What the start prints for people and for scripts: where it listens.

use std::{
    io::{self, Write},
    net::SocketAddr,
};

/// Writes the addresses in use.
pub fn write(mut out: impl Write, listen: SocketAddr, ops: SocketAddr) -> io::Result<()> {
    writeln!(out, "Septet analytics {}", env!("CARGO_PKG_VERSION"))?;
    writeln!(out, "listening on http://{listen}")?;
    writeln!(out, "ops on http://{ops} (/livez /readyz /metrics)")?;
    out.flush()
}
