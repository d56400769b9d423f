//! What the start prints for people: where it listens, the API key once, and a line to copy.

use std::net::SocketAddr;

use crate::destination::Home;

/// Prints the addresses in use, and what a first user needs next, on standard output.
pub fn print(listen: SocketAddr, ops: SocketAddr, home: &Home, made_api_key: Option<&str>) {
    println!("Septet {}", env!("CARGO_PKG_VERSION"));
    println!("listening on http://{listen} (short links read {}/...)", home.as_str());
    println!("ops on http://{ops} (/livez /readyz /metrics)");
    if let Some(key) = made_api_key {
        println!("\nAPI key, shown this once: {key}");
    }
    let key = made_api_key.unwrap_or("$SEPTET_API_KEY");
    println!("\nMake a link:");
    println!("  curl -H \"Authorization: Bearer {key}\" -H 'Content-Type: application/json' \\");
    println!("    -d '{{\"url\":\"https://example.com\"}}' http://{listen}/api/links\n");
}
