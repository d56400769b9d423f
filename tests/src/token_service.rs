//! A `septet-token-service` process.

use std::{net::SocketAddr, path::Path};

use token_service::{
    client::{ClientOptions, HttpLeases},
    secret::Secret,
};

use crate::{
    binary,
    process::{Launch, Running},
};

/// The secret that instances and services share in tests.
pub const SECRET: &str = "a-secret-for-tests-that-nobody-guesses";

/// A service on the database at `url`, any two free ports, [`SECRET`]; `directory` outlives it.
pub fn launch(url: &str, directory: &Path) -> Launch {
    Launch::new(binary::token_service(), directory)
        .flag("--listen", "127.0.0.1:0")
        .flag("--ops-listen", "127.0.0.1:0")
        .flag("--data-dir", directory)
        .env("SEPTET_DATABASE", url)
        .env("SEPTET_TOKEN_SERVICE_SECRET", SECRET)
}

/// What `--leases` is set to for services at these addresses.
pub fn urls(addresses: &[SocketAddr]) -> String {
    addresses.iter().map(|address| format!("http://{address}")).collect::<Vec<_>>().join(",")
}

/// The same again at the same addresses, after [`Running::kill`] or [`Running::stop`].
pub fn again(running: &Running) -> Launch {
    let (listen, ops) = (running.listen.to_string(), running.ops.to_string());
    running.launch().clone().flag("--listen", listen).flag("--ops-listen", ops)
}

/// Calls the services at these addresses, as an instance does.
///
/// # Panics
/// When there are none.
pub fn client(addresses: &[SocketAddr]) -> HttpLeases {
    let urls = addresses.iter().map(|address| format!("http://{address}").parse().expect("an address makes a URL"));
    let secret = Some(Secret::parse(SECRET).expect("it is long enough"));
    let options = ClientOptions { secret, ..ClientOptions::new(urls.collect()) };
    HttpLeases::new(options).expect("at least one address")
}

/// Prepares the database at `url`.
///
/// # Panics
/// When that fails.
pub fn migrate(url: &str, directory: &Path) {
    let migrated = launch(url, directory).run_to_end("migrate");
    assert!(migrated.status.success(), "{}", migrated.stderr_text());
}
