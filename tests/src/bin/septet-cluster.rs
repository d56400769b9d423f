//! The whole system on this machine, for people to try: prints where everything is and a first command, and stops all of it on Ctrl-C.

use std::process::ExitCode;

use septet_tests::{septet::API_KEY, system::System};
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main]
async fn main() -> ExitCode {
    let system = tokio::task::block_in_place(|| System::start(|step| eprintln!("{step} ...")));
    println!("\nSeptet is up:");
    for (what, places) in system.places() {
        println!("  {what:15} {}", places.join("  "));
    }
    println!("\nAPI key: {API_KEY}\n\nMake a link, open it, ask who did:");
    let at = system.shortener(0);
    let (header, key) = ("-H 'Content-Type: application/json'", format!("-H 'Authorization: Bearer {API_KEY}'"));
    println!("  curl {key} {header} -d '{{\"url\":\"https://example.com\",\"key\":\"try\"}}' http://{at}/api/links");
    println!("  curl -i http://{}/try", system.shortener(1));
    println!("  curl {key} 'http://{at}/api/analytics?event=clicks&groupBy=count'\n\nCtrl-C stops everything.");
    let mut terminate = signal(SignalKind::terminate()).expect("signals can be heard");
    tokio::select! {
        _ = terminate.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
    eprintln!("stopping ...");
    tokio::task::block_in_place(|| drop(system));
    ExitCode::SUCCESS
}
