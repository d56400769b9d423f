//! `septet`: parse, build, run, drain.

use std::process::ExitCode;

use clap::Parser;
use shortener::{
    app::Application,
    logging,
    settings::{Cli, Command},
};

/// Rows of clicks and bodies of requests are many small allocations, which it serves faster than the system's own.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    let Cli { command, settings } = Cli::parse();
    let done = match (logging::start(&settings), command.unwrap_or(Command::Serve)) {
        (Err(error), _) => Err(error.into()),
        (Ok(()), Command::Migrate) => Application::migrate(settings).await,
        (Ok(()), Command::Serve) => match Application::build(settings).await {
            Ok(application) => application.run_until_stopped().await,
            Err(error) => Err(error),
        },
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("septet: {error:#}");
            ExitCode::FAILURE
        }
    }
}
