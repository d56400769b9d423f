//! `septet health`: whether the process beside it is ready, for whoever has no other way to ask, as a container without a shell.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use anyhow::{Context, bail};
use token_service::client::http_client;

/// Whoever asks this often does not wait long.
const TIMEOUT: Duration = Duration::from_secs(3);

/// Asks `/readyz` at the operations address, of `septet` or of another service that listens there.
///
/// # Errors
/// When nobody answers, or the process is not ready.
pub async fn health(ops_listen: SocketAddr) -> anyhow::Result<()> {
    let address = of_this_machine(ops_listen);
    let asked = http_client(false)?.get(format!("http://{address}/readyz")).timeout(TIMEOUT).send().await;
    let answer = asked.with_context(|| format!("nobody answers at --ops-listen {address}"))?;
    let status = answer.status();
    let said = answer.text().await.unwrap_or_default();
    if !status.is_success() {
        bail!("{address} is not ready: {status}, {}", said.trim_end());
    }
    println!("{address}: {}", said.trim_end());
    Ok(())
}

/// Where a listener on every address is reached from here.
fn of_this_machine(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}
