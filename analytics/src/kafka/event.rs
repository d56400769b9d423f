//! What is written to the topic: `analytics/proto/click.proto`, in protobuf.
//!
//! Protobuf, as it is the smallest of the formats that everybody can read: a click takes some 70 bytes, where Avro needs its schema
//! at hand to read a single byte, or a registry, and JSON four times the room. The classes below are the schema written by hand; a test compiles
//! the schema file and compares.

use std::ops::Range;

use prost::{Message, Oneof, bytes::Bytes};

use super::texts::Texts;
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

/// Texts are bytes here, so that reading them copies nothing: protobuf encodes the two alike.
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
    #[prost(bytes = "bytes", tag = "7")]
    pub continent: Bytes,
    #[prost(bytes = "bytes", tag = "8")]
    pub country: Bytes,
    #[prost(bytes = "bytes", tag = "9")]
    pub region: Bytes,
    #[prost(bytes = "bytes", tag = "10")]
    pub city: Bytes,
    #[prost(bytes = "bytes", tag = "11")]
    pub browser: Bytes,
    #[prost(bytes = "bytes", tag = "12")]
    pub os: Bytes,
    #[prost(bytes = "bytes", tag = "13")]
    pub device: Bytes,
    #[prost(bytes = "bytes", tag = "14")]
    pub referer: Bytes,
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
    #[error("there can be no link {0}")]
    NoLink(u64),
    #[error("it is of no time that a calendar has: {0} ms")]
    NoTime(i64),
    #[error("it is no event: it says nothing")]
    Nothing,
    #[error("a text of it is not UTF-8")]
    NotUtf8(#[from] std::str::Utf8Error),
}

/// Ids of links are below this.
const LINKS: u64 = 62_u64.pow(7);

/// From 1970 until the year 10000, in Unix milliseconds.
const TIMES_MS: Range<i64> = 0..253_402_300_800_000;

/// Whether these bytes begin as an event does: by a message under one of the numbers that kinds have.
fn is_later_kind(bytes: &[u8]) -> bool {
    const MESSAGE: u8 = 2;
    bytes.first().is_some_and(|key| key & 7 == MESSAGE && (3..16).contains(&(key >> 3)))
}

impl Event {
    pub fn encode(&self) -> Vec<u8> {
        let kind = match self {
            Event::Click(click) => KindProto::Click(ClickProto::from(click)),
            Event::LogEnded(log) => KindProto::LogEnded(LogEndedProto { log: log.0 }),
        };
        EventProto { kind: Some(kind) }.encode_to_vec()
    }

    /// The click's texts are those of `texts`, if it has them.
    pub fn decode(bytes: &[u8], texts: &mut Texts) -> Result<Self, EventError> {
        match EventProto::decode(Bytes::copy_from_slice(bytes))?.kind {
            Some(KindProto::Click(ClickProto { offset: 0, .. })) => Err(EventError::Nameless),
            Some(KindProto::Click(click)) if click.link >= LINKS => Err(EventError::NoLink(click.link)),
            Some(KindProto::Click(click)) if !TIMES_MS.contains(&click.at_ms) => Err(EventError::NoTime(click.at_ms)),
            Some(KindProto::Click(click)) => Ok(Event::Click(click.read(texts)?)),
            Some(KindProto::LogEnded(LogEndedProto { log })) => Ok(Event::LogEnded(LogId(log))),
            None if is_later_kind(bytes) => Err(EventError::Unknown),
            None => Err(EventError::Nothing),
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
            continent: bytes(continent),
            country: bytes(country),
            region: bytes(region),
            city: bytes(city),
            browser: bytes(&click.browser),
            os: bytes(&click.os),
            device: bytes(&click.device),
            referer: bytes(&click.referer),
        }
    }
}

fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

impl ClickProto {
    fn read(&self, texts: &mut Texts) -> Result<Click, EventError> {
        let mut text = |bytes: &Bytes| Ok::<_, EventError>(texts.shared(std::str::from_utf8(bytes)?));
        Ok(Click {
            log: LogId(self.log),
            offset: self.offset,
            at_ms: self.at_ms,
            link: self.link,
            visitor: self.visitor,
            bot: self.bot,
            place: Place {
                continent: text(&self.continent)?,
                country: text(&self.country)?,
                region: text(&self.region)?,
                city: text(&self.city)?,
            },
            browser: text(&self.browser)?,
            os: text(&self.os)?,
            device: text(&self.device)?,
            referer: text(&self.referer)?,
        })
    }
}

#[cfg(test)]
mod tests;
