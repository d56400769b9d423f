//! `septet-analytics`: parse, build, run, drain.

use std::{process::ExitCode, time::Duration};

use analytics::service::{
    app::Application,
    logging, sentence,
    settings::{Cli, Command},
};
use clap::Parser;
use tokio::runtime::Runtime;

/// Rows of clicks are many small allocations, which it serves faster than the system's own.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How long the process waits at its end for work that has missed its deadline.
const LAST_WAIT: Duration = Duration::from_millis(500);

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("septet-analytics: {}", sentence::of(&error));
            ExitCode::FAILURE
        }
    }
}

fn run(Cli { command, settings }: Cli) -> anyhow::Result<()> {
    logging::start(&settings)?;
    let runtime = Runtime::new()?;
    let done = runtime.block_on(async {
        match command.unwrap_or(Command::Serve) {
            Command::Migrate => Application::migrate(settings).await,
            Command::Serve => Application::build(settings).await?.run_until_stopped().await,
        }
    });
    runtime.shutdown_timeout(LAST_WAIT);
    done
}
