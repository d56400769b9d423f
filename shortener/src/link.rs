//! A link: a key on a domain, and where it leads.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{
    destination::Destination,
    key::{Domain, Key},
};

/// The id of a link: unique for ever, one for every link. Never shown to anybody: see [`Codec`](crate::code::Codec).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub u64);

/// The longest `externalId`, in characters.
pub const EXTERNAL_ID_CHARS_MAX: usize = 255;
/// The longest `title`, in characters.
pub const TITLE_CHARS_MAX: usize = 1_000;
/// The longest `comments`, in characters.
pub const COMMENTS_CHARS_MAX: usize = 5_000;

/// The name that a client's own system has for a link; unique among links.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ExternalId(Box<str>);

impl ExternalId {
    /// What marks an external id where an id is expected: no external id begins with it.
    pub const PREFIX: &str = "ext_";

    /// Any text of 1 to [`EXTERNAL_ID_CHARS_MAX`] characters without control characters, that does not begin with the prefix.
    pub fn parse(given: &str) -> Result<Self, TextError> {
        if given.is_empty() {
            return Err(TextError::Empty);
        }
        if given.starts_with(Self::PREFIX) {
            return Err(TextError::Prefix(Self::PREFIX));
        }
        text(given, EXTERNAL_ID_CHARS_MAX)?;
        Ok(ExternalId(given.into()))
    }

    pub(crate) fn from_stored(kept: impl Into<Box<str>>) -> Self {
        ExternalId(kept.into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Why a text does not do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    #[error("is empty")]
    Empty,
    #[error("is longer than {0} characters")]
    TooLong(usize),
    #[error("holds a control character")]
    ControlCharacter,
    #[error("must not begin with {0:?}, which marks an externalId where an id is expected")]
    Prefix(&'static str),
}

/// Checks a text of people: bounded, and without control characters other than line ends and tabs.
pub fn text(given: &str, chars_max: usize) -> Result<(), TextError> {
    if given.chars().count() > chars_max {
        return Err(TextError::TooLong(chars_max));
    }
    if given.chars().any(|char| char.is_control() && !matches!(char, '\n' | '\r' | '\t')) {
        return Err(TextError::ControlCharacter);
    }
    Ok(())
}

/// The status of a redirect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "u16", into = "u16")]
pub enum RedirectStatus {
    MovedPermanently,
    #[default]
    Found,
    TemporaryRedirect,
    PermanentRedirect,
}

impl TryFrom<u16> for RedirectStatus {
    type Error = &'static str;

    fn try_from(status: u16) -> Result<Self, Self::Error> {
        Ok(match status {
            301 => RedirectStatus::MovedPermanently,
            302 => RedirectStatus::Found,
            307 => RedirectStatus::TemporaryRedirect,
            308 => RedirectStatus::PermanentRedirect,
            _ => return Err("must be 301, 302, 307 or 308"),
        })
    }
}

impl From<RedirectStatus> for u16 {
    fn from(status: RedirectStatus) -> u16 {
        match status {
            RedirectStatus::MovedPermanently => 301,
            RedirectStatus::Found => 302,
            RedirectStatus::TemporaryRedirect => 307,
            RedirectStatus::PermanentRedirect => 308,
        }
    }
}

impl fmt::Display for RedirectStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        u16::from(*self).fmt(f)
    }
}

/// A link, whole. Times are Unix milliseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    pub id: LinkId,
    pub domain: Domain,
    pub key: Key,
    pub url: Destination,
    pub external_id: Option<ExternalId>,
    /// From then on the link leads to `expired_url`, or nowhere.
    pub expires_at_ms: Option<i64>,
    pub expired_url: Option<Destination>,
    pub title: Option<String>,
    pub comments: Option<String>,
    /// Left out of lists unless asked for; redirects all the same.
    pub archived: bool,
    pub redirect_status: RedirectStatus,
    pub created_at_ms: i64,
    pub updated_at_ms: i64,
    /// Rises by one with every change: a change is made to the revision it was read from, or not at all.
    pub revision: u64,
}
