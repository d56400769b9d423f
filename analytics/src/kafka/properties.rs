//! A file of properties for the client: logins and certificates, mostly, as `name=value` lines.

use std::{fs, io, path::Path};

/// Why a file of properties cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PropertiesError {
    #[error("{path}: {source}")]
    File { path: String, source: io::Error },
    #[error("{path}, line {line}: expected NAME=VALUE")]
    Line { path: String, line: usize },
}

/// Reads `name=value` lines; empty ones and those that begin with `#` are passed over. A line is never shown: it may hold a password.
pub fn read(path: &Path) -> Result<Vec<(String, String)>, PropertiesError> {
    let shown = || path.display().to_string();
    let text = fs::read_to_string(path).map_err(|source| PropertiesError::File { path: shown(), source })?;
    let lines = text.lines().map(str::trim).enumerate();
    let lines = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    let properties = lines.map(|(at, line)| match line.split_once('=') {
        Some((name, value)) if !name.trim().is_empty() => Ok((name.trim().to_owned(), value.trim().to_owned())),
        _ => Err(PropertiesError::Line { path: shown(), line: at + 1 }),
    });
    properties.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_is_none_is_named_and_not_shown() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(&file, "# a login\nsasl.username = me\n\nsasl.password=a=b\n").unwrap();
        let properties = read(file.path()).unwrap();
        assert_eq!(properties, [("sasl.username", "me"), ("sasl.password", "a=b")].map(|(n, v)| (n.into(), v.into())));
        fs::write(&file, "a=b\nsecret\n").unwrap();
        let error = read(file.path()).unwrap_err().to_string();
        assert!(error.ends_with("line 2: expected NAME=VALUE") && !error.contains("secret"), "{error}");
    }
}
