//! Log lines: for people on a terminal, JSON otherwise, on standard error.

use std::io::{IsTerminal, stderr};

use tracing_subscriber::{EnvFilter, fmt};

use crate::settings::{LogFormat, SettingError, Settings};

/// Starts logging as the settings say.
pub fn start(settings: &Settings) -> Result<(), SettingError> {
    let filter = EnvFilter::try_new(&settings.log).map_err(|error| SettingError::Log(error.to_string()))?;
    let human = match settings.log_format {
        LogFormat::Auto => stderr().is_terminal(),
        LogFormat::Human => true,
        LogFormat::Json => false,
    };
    let lines = fmt().with_env_filter(filter).with_writer(stderr);
    if human {
        lines.with_ansi(stderr().is_terminal()).init();
    } else {
        lines.json().flatten_event(true).init();
    }
    Ok(())
}
