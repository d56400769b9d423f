//! How the nodes of a cluster are written.

/// `host`, `host:port`, `[address]` or `[address]:port`, with the port.
pub(crate) fn parse(given: &str, default_port: u16) -> Option<String> {
    let behind_brackets = given.rfind(']').map_or(0, |at| at + 1);
    let (host, port) = match given[behind_brackets..].rfind(':') {
        Some(colon) => (&given[..behind_brackets + colon], given[behind_brackets + colon + 1..].parse().ok()?),
        None => (given, default_port),
    };
    let is_host = |host: &str| {
        !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
    };
    let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let valid = address.map_or_else(|| is_host(host), |address| address.parse::<std::net::Ipv6Addr>().is_ok());
    valid.then(|| format!("{host}:{port}"))
}
