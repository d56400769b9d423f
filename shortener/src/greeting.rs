//! What the start prints for people: where it listens, the API key once, and a line to copy.

use std::{
    io::{self, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use crate::destination::Home;

/// Writes the addresses in use, and what a first user needs next.
pub fn write(
    mut out: impl Write,
    listen: SocketAddr,
    ops: SocketAddr,
    home: &Home,
    made_api_key: Option<&str>,
) -> io::Result<()> {
    writeln!(out, "Septet {}", env!("CARGO_PKG_VERSION"))?;
    writeln!(out, "listening on http://{listen}")?;
    writeln!(out, "ops on http://{ops} (/livez /readyz /metrics)")?;
    writeln!(out, "short links read {}/...", home.as_str())?;
    if home.port() != Some(listen.port()) {
        writeln!(out, "  (set --public-url if people cannot reach them there)")?;
    }
    if let Some(key) = made_api_key {
        writeln!(out, "\nAPI key, shown this once: {key}")?;
    }
    let key = made_api_key.unwrap_or("$SEPTET_API_KEY");
    writeln!(out, "\nMake a link:")?;
    writeln!(out, "  curl -H \"Authorization: Bearer {key}\" -H 'Content-Type: application/json' \\")?;
    writeln!(out, "    -d '{{\"url\":\"https://example.com\"}}' http://{}/api/links\n", reachable(listen))?;
    out.flush()
}

/// Where this machine reaches what listens on every address.
fn reachable(listen: SocketAddr) -> SocketAddr {
    match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => (Ipv4Addr::LOCALHOST, listen.port()).into(),
        IpAddr::V6(ip) if ip.is_unspecified() => (Ipv6Addr::LOCALHOST, listen.port()).into(),
        _ => listen,
    }
}
