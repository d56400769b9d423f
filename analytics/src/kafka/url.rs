//! `kafka://host:9092,host:9092/topic`: where a topic is.

use std::{fmt, str::FromStr};

use crate::nodes;

/// Kafka's port, where a URL names none.
const PORT: u16 = 9092;

/// The longest name that Kafka gives a topic, in characters.
const TOPIC_CHARS_MAX: usize = 249;

/// A cluster, by some of its brokers, and a topic of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KafkaUrl {
    /// `host:port`, at least one.
    pub brokers: Vec<String>,
    pub topic: String,
}

/// Why a text is no such URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KafkaUrlError {
    #[error("must look like kafka://HOST:PORT,HOST:PORT/TOPIC")]
    Form,
    #[error("names a broker that is no HOST:PORT: the {0}. one")]
    Broker(usize),
    #[error(
        "names the topic {0:?}: it must have letters, digits, '.', '_' and '-' alone, at most {TOPIC_CHARS_MAX} of them, and \
         not be \".\" or \"..\""
    )]
    Topic(String),
    #[error("names a user: logins are properties of the client (--kafka-properties)")]
    User,
}

impl FromStr for KafkaUrl {
    type Err = KafkaUrlError;

    fn from_str(url: &str) -> Result<Self, KafkaUrlError> {
        let rest = url.strip_prefix("kafka://").ok_or(KafkaUrlError::Form)?;
        let (brokers, topic) = rest.split_once('/').ok_or(KafkaUrlError::Form)?;
        if brokers.contains('@') {
            return Err(KafkaUrlError::User);
        }
        let brokers = brokers.split(',').enumerate();
        let brokers = brokers.map(|(at, given)| nodes::parse(given, PORT).ok_or(KafkaUrlError::Broker(at + 1)));
        let brokers = brokers.collect::<Result<_, _>>()?;
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        if !(1..=TOPIC_CHARS_MAX).contains(&topic.len()) || !topic.bytes().all(plain) || [".", ".."].contains(&topic) {
            return Err(KafkaUrlError::Topic(topic.to_owned()));
        }
        Ok(KafkaUrl { brokers, topic: topic.to_owned() })
    }
}

impl fmt::Display for KafkaUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "kafka://{}/{}", self.brokers.join(","), self.topic)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brokers_and_topic_are_read() {
        let url: KafkaUrl = "kafka://a,b:9093,[::1]/septet-clicks".parse().unwrap();
        assert_eq!(url.brokers, ["a:9092", "b:9093", "[::1]:9092"]);
        assert_eq!(url.to_string(), "kafka://a:9092,b:9093,[::1]:9092/septet-clicks");
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (given, expected) in [
            ("http://a/t", KafkaUrlError::Form),
            ("kafka://a:9092", KafkaUrlError::Form),
            ("kafka://a,:1/t", KafkaUrlError::Broker(2)),
            ("kafka:///t", KafkaUrlError::Broker(1)),
            ("kafka://me@a/t", KafkaUrlError::User),
            ("kafka://a/", KafkaUrlError::Topic(String::new())),
            ("kafka://a/b/c", KafkaUrlError::Topic("b/c".to_owned())),
            ("kafka://a/..", KafkaUrlError::Topic("..".to_owned())),
        ] {
            assert_eq!(given.parse::<KafkaUrl>().unwrap_err(), expected, "{given}");
        }
    }
}
