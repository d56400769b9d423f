//! Properties of librdkafka in a file: what is neither a flag nor an environment variable, logins and certificates mostly.
//!
//! A line is `name=value`; empty ones and those that begin with `#` or `!` are passed over, and so is white space around names and values.
//! A value is taken as it is, backslashes too. No error repeats a line, as there may be a password on it.

use std::{fs, io, path::Path};

/// What has flags of its own.
const BY_FLAGS: [&str; 4] = ["bootstrap.servers", "metadata.broker.list", "client.id", "group.id"];

/// Why a file does not hold properties.
#[derive(Debug, thiserror::Error)]
pub enum PropertiesError {
    #[error("{path} cannot be read: {source}")]
    File { path: String, source: io::Error },
    #[error("{path}, line {line}: must read NAME=VALUE")]
    Form { path: String, line: usize },
    #[error("{path}, line {line}: {name} is not set here; brokers are named by --clicks, and groups by --group")]
    ByFlags { path: String, line: usize, name: &'static str },
}

/// The properties in a file, in their order. What librdkafka makes of them is seen when a client is made.
pub fn read(path: &Path) -> Result<Vec<(String, String)>, PropertiesError> {
    let shown = || path.display().to_string();
    let text = fs::read_to_string(path).map_err(|source| PropertiesError::File { path: shown(), source })?;
    let lines =
        text.lines().map(str::trim).zip(1..).filter(|(line, _)| !line.is_empty() && !line.starts_with(['#', '!']));
    let property = |(text, line): (&str, usize)| {
        let (name, value) = text.split_once('=').ok_or_else(|| PropertiesError::Form { path: shown(), line })?;
        let (name, value) = (name.trim_end(), value.trim_start());
        if name.is_empty() {
            return Err(PropertiesError::Form { path: shown(), line });
        }
        match BY_FLAGS.iter().find(|by_flags| **by_flags == name) {
            Some(name) => Err(PropertiesError::ByFlags { path: shown(), line, name }),
            None => Ok((name.to_owned(), value.to_owned())),
        }
    };
    lines.map(property).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &str) -> Result<Vec<(String, String)>, PropertiesError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), text).unwrap();
        read(file.path())
    }

    /// Seen to fail when a value ended at its own first `=`.
    #[test]
    fn properties_are_read_line_by_line() {
        let text = "# a login\r\n\n  sasl.username = me\r\nsasl.password=a=b\\c: #d\n! another comment\nssl.ca.pem=\n";
        let expected = [("sasl.username", "me"), ("sasl.password", "a=b\\c: #d"), ("ssl.ca.pem", "")];
        assert_eq!(read_text(text).unwrap(), expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }

    #[test]
    fn what_is_wrong_is_named_by_file_and_line_and_not_repeated() {
        for (text, word) in [
            ("a=b\n\nhunter2\n", "line 3: must read NAME=VALUE"),
            ("=hunter2", "line 1: must read NAME=VALUE"),
            ("bootstrap.servers=hunter2:1", "line 1: bootstrap.servers is not set here"),
        ] {
            let said = read_text(text).unwrap_err().to_string();
            assert!(said.contains(word) && said.starts_with('/') && !said.contains("hunter2"), "{said}");
        }
        assert!(read(Path::new("no/such/file")).unwrap_err().to_string().contains("no/such/file cannot be read"));
    }
}
