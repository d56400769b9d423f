//! Properties of librdkafka in a file: what is neither a flag nor an environment variable, logins and certificates mostly.
//!
//! A line is `name=value`; empty ones and those that begin with `#` or `!` are passed over, and so is white space around names and values.
//! A value is taken as it is, backslashes too. No error repeats a line, as there may be a password on it.

use std::{fs, io, path::Path};

/// What has flags of its own.
const BY_FLAGS: [&str; 4] = ["bootstrap.servers", "metadata.broker.list", "client.id", "group.id"];

/// What the clients set themselves, under every name that librdkafka has for it: given twice, under two names, either value might win.
const BY_CLIENTS: [&str; 31] = [
    "acks",
    "request.required.acks",
    "allow.auto.create.topics",
    "auto.offset.reset",
    "compression.codec",
    "compression.type",
    "enable.auto.commit",
    "auto.commit.enable",
    "enable.auto.offset.store",
    "enable.gapless.guarantee",
    "enable.idempotence",
    "fetch.wait.max.ms",
    "heartbeat.interval.ms",
    "linger.ms",
    "queue.buffering.max.ms",
    "log.connection.close",
    "max.in.flight",
    "max.in.flight.requests.per.connection",
    "message.timeout.ms",
    "delivery.timeout.ms",
    "partition.assignment.strategy",
    "queue.buffering.max.kbytes",
    "queue.buffering.max.messages",
    "queued.max.messages.kbytes",
    "reconnect.backoff.max.ms",
    "retries",
    "message.send.max.retries",
    "session.timeout.ms",
    "statistics.interval.ms",
    "topic.metadata.refresh.interval.ms",
    // Without a transaction, which is nowhere begun, nothing may be sent.
    "transactional.id",
];

/// Why a file does not hold properties.
#[derive(Debug, thiserror::Error)]
pub enum PropertiesError {
    #[error("{path} cannot be read: {source}")]
    File { path: String, source: io::Error },
    #[error("{path}, line {line}: must read NAME=VALUE")]
    Form { path: String, line: usize },
    #[error(
        "{path}, line {line}: {name} is not set here: flags and the program itself name brokers, groups and clients"
    )]
    ByFlags { path: String, line: usize, name: &'static str },
    #[error("{path}, line {line}: {name} is not set here; what is promised of clicks rests on the value that it has")]
    ByClients { path: String, line: usize, name: &'static str },
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
        if let Some(name) = BY_FLAGS.into_iter().find(|by_flags| *by_flags == name) {
            return Err(PropertiesError::ByFlags { path: shown(), line, name });
        }
        if let Some(name) = BY_CLIENTS.into_iter().find(|by_clients| *by_clients == name) {
            return Err(PropertiesError::ByClients { path: shown(), line, name });
        }
        Ok((name.to_owned(), value.to_owned()))
    };
    lines.map(property).collect()
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use rdkafka::{config::ClientConfig, error::KafkaError, types::RDKafkaConfRes};

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
            ("\ndelivery.timeout.ms = hunter2", "line 2: delivery.timeout.ms is not set here"),
            ("request.required.acks=hunter2", "line 1: request.required.acks is not set here"),
        ] {
            let said = read_text(text).unwrap_err().to_string();
            assert!(said.contains(word) && said.starts_with('/') && !said.contains("hunter2"), "{said}");
        }
        assert!(read(Path::new("no/such/file")).unwrap_err().to_string().contains("no/such/file cannot be read"));
    }

    /// What the sources in a folder set on clients, and where.
    fn set_in(folder: &Path) -> Vec<(String, PathBuf)> {
        // That one sets properties of a topic.
        let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let entries = entries.filter(|path| path.file_name().unwrap() != "topic.rs");
        let set = entries.flat_map(|path| {
            if path.is_dir() {
                return set_in(&path);
            }
            let text = fs::read_to_string(&path).unwrap();
            let names = text.split(".set(\"").skip(1).map(|rest| rest.split('"').next().unwrap());
            names.map(|name| (name.to_owned(), path.clone())).collect()
        });
        set.collect()
    }

    /// Seen to fail when an alias was misspelled, and when a client set what could be given as well.
    #[test]
    fn whatever_a_client_sets_is_refused_and_known_to_librdkafka() {
        let refused: Vec<_> = BY_FLAGS.into_iter().chain(BY_CLIENTS).collect();
        for name in &refused {
            let known = ClientConfig::new().set(*name, "?").create_native_config();
            let unknown = matches!(known, Err(KafkaError::ClientConfig(RDKafkaConfRes::RD_KAFKA_CONF_UNKNOWN, ..)));
            assert!(!unknown, "{name}");
        }
        let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        for folder in ["analytics/src/kafka", "shortener/src/changes"] {
            let set = set_in(&crates.join(folder));
            assert!(!set.is_empty(), "{folder}");
            for (name, file) in set {
                assert!(refused.contains(&name.as_str()), "{name}, of {}", file.display());
            }
        }
    }
}
