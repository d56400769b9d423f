//! `septet`: parse the settings, and do what is asked.

use std::{process::ExitCode, time::Duration};

use clap::Parser;
use shortener::{
    app, health, logging, probe,
    settings::{Cli, Command},
};
use tokio::runtime::Runtime;

/// Rows of clicks and bodies of requests are many small allocations, which it serves faster than the system's own.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How long the process waits at its end for work that has missed its deadline.
const LAST_WAIT: Duration = Duration::from_millis(500);

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("septet: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(Cli { command, settings }: Cli) -> anyhow::Result<()> {
    logging::start(&settings)?;
    let runtime = Runtime::new()?;
    let done = runtime.block_on(async {
        match command.unwrap_or(Command::Serve) {
            Command::Migrate => app::migrate(settings).await,
            Command::Copy(args) => app::copy(settings, args).await,
            Command::Health => health::health(settings.ops_listen).await,
            Command::Probe(args) => probe::probe(&settings, &args.url).await,
            Command::Serve => app::serve(settings).await,
        }
    });
    runtime.shutdown_timeout(LAST_WAIT);
    done
}
