//! What is written to the topic: `analytics/proto/click.proto`, in protobuf.
//!
//! Protobuf, as it is the smallest of the formats that everybody can read: a click takes some 70 bytes, where Avro needs its schema
//! at hand to read a single byte, or a registry, and JSON four times the room. The classes below are the schema written by hand; a test compiles
//! the schema file and compares.

use prost::{Message, Oneof};

use crate::click::{Click, LogId, Place};

#[derive(Clone, PartialEq, Message)]
pub(super) struct EventProto {
    #[prost(oneof = "KindProto", tags = "1, 2")]
    pub kind: Option<KindProto>,
}

#[derive(Clone, PartialEq, Oneof)]
#[expect(clippy::large_enum_variant, reason = "nearly all of them are clicks")]
pub(super) enum KindProto {
    #[prost(message, tag = "1")]
    Click(ClickProto),
    #[prost(message, tag = "2")]
    LogEnded(LogEndedProto),
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ClickProto {
    #[prost(fixed64, tag = "1")]
    pub log: u64,
    #[prost(uint64, tag = "2")]
    pub offset: u64,
    #[prost(int64, tag = "3")]
    pub at_ms: i64,
    #[prost(uint64, tag = "4")]
    pub link: u64,
    #[prost(fixed64, tag = "5")]
    pub visitor: u64,
    #[prost(bool, tag = "6")]
    pub bot: bool,
    #[prost(string, tag = "7")]
    pub continent: String,
    #[prost(string, tag = "8")]
    pub country: String,
    #[prost(string, tag = "9")]
    pub region: String,
    #[prost(string, tag = "10")]
    pub city: String,
    #[prost(string, tag = "11")]
    pub browser: String,
    #[prost(string, tag = "12")]
    pub os: String,
    #[prost(string, tag = "13")]
    pub device: String,
    #[prost(string, tag = "14")]
    pub referer: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct LogEndedProto {
    #[prost(fixed64, tag = "1")]
    pub log: u64,
}

/// A record of the topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    Click(Click),
    /// A click log has ended, and all of its clicks are in the topic.
    LogEnded(LogId),
}

/// Why a record cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum EventError {
    #[error("it is no event: {0}")]
    Malformed(#[from] prost::DecodeError),
    #[error("it is of a kind that this version does not know: run a newer one")]
    Unknown,
    #[error("it names no place in a click log")]
    Nameless,
}

impl Event {
    pub fn encode(&self) -> Vec<u8> {
        let kind = match self {
            Event::Click(click) => KindProto::Click(ClickProto::from(click)),
            Event::LogEnded(log) => KindProto::LogEnded(LogEndedProto { log: log.0 }),
        };
        EventProto { kind: Some(kind) }.encode_to_vec()
    }

    pub fn decode(bytes: &[u8]) -> Result<Self, EventError> {
        match EventProto::decode(bytes)?.kind {
            Some(KindProto::Click(ClickProto { offset: 0, .. })) => Err(EventError::Nameless),
            Some(KindProto::Click(click)) => Ok(Event::Click(click.into())),
            Some(KindProto::LogEnded(LogEndedProto { log })) => Ok(Event::LogEnded(LogId(log))),
            None => Err(EventError::Unknown),
        }
    }
}

impl From<&Click> for ClickProto {
    fn from(click: &Click) -> Self {
        let Place { continent, country, region, city } = &click.place;
        ClickProto {
            log: click.log.0,
            offset: click.offset,
            at_ms: click.at_ms,
            link: click.link,
            visitor: click.visitor,
            bot: click.bot,
            continent: continent.to_string(),
            country: country.to_string(),
            region: region.to_string(),
            city: city.to_string(),
            browser: click.browser.to_string(),
            os: click.os.to_string(),
            device: click.device.to_string(),
            referer: click.referer.to_string(),
        }
    }
}

impl From<ClickProto> for Click {
    fn from(click: ClickProto) -> Self {
        Click {
            log: LogId(click.log),
            offset: click.offset,
            at_ms: click.at_ms,
            link: click.link,
            visitor: click.visitor,
            bot: click.bot,
            place: Place {
                continent: click.continent.into(),
                country: click.country.into(),
                region: click.region.into(),
                city: click.city.into(),
            },
            browser: click.browser.into(),
            os: click.os.into(),
            device: click.device.into(),
            referer: click.referer.into(),
        }
    }
}

#[cfg(test)]
mod tests;
