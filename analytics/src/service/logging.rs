//! Log lines: for people on a terminal, JSON otherwise, on standard error.

use std::io::{IsTerminal, stderr};

use tracing_subscriber::{EnvFilter, filter::LevelFilter, fmt};

use super::settings::{LogFormat, SettingError, Settings};

/// Starts logging as the settings say.
pub fn start(settings: &Settings) -> Result<(), SettingError> {
    // A word that is no level would be taken for the name of a module, and silence everything else.
    if let Some(wrong) = settings.log.split(',').find(|directive| !ends_in_level(directive)) {
        return Err(SettingError::Log(format!("{wrong:?} names no level (error, warn, info, debug, trace, off)")));
    }
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

fn ends_in_level(directive: &str) -> bool {
    let level = directive.rsplit('=').next().unwrap_or_default().trim();
    !level.is_empty() && level.parse::<LevelFilter>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directive_names_a_level() {
        for right in ["info", "off", "analytics=debug", "a::b[span{field=1}]=trace"] {
            assert!(ends_in_level(right), "{right}");
        }
        for wrong in ["", "inof", "bogus=", "analytics=loud", "7x"] {
            assert!(!ends_in_level(wrong), "{wrong}");
        }
    }
}
