//! The contract of the seam "analytics queries": what can be asked, and what is answered.

use std::{error::Error as StdError, ops::Range};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

/// Which links' clicks are asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "service", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Links {
    /// All clicks together, those of deleted links included.
    All,
    /// One link, by id.
    One(u64),
}

/// Which clicks count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "service", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Bots {
    /// People's clicks alone.
    #[default]
    Exclude,
    /// Bots' clicks as well.
    Include,
    /// Bots' clicks alone.
    Only,
}

/// A dimension that clicks are grouped by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "service", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Dimension {
    Continent,
    Country,
    /// Values read `DE-BY`.
    Region,
    /// Values read `DE/DE-BY/Munich`; the first two parts may be empty.
    City,
    Device,
    Browser,
    Os,
    Referer,
    /// Values are ids of links, in decimal. Only for [`Links::All`].
    Link,
}

impl Dimension {
    /// Every dimension.
    pub const ALL: [Dimension; 9] = [
        Dimension::Continent,
        Dimension::Country,
        Dimension::Region,
        Dimension::City,
        Dimension::Device,
        Dimension::Browser,
        Dimension::Os,
        Dimension::Referer,
        Dimension::Link,
    ];
}

/// The value under which clicks are added up whose own value came after the cap on values was reached.
pub const OTHER: &str = "(other)";

/// What is asked of the clicks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Group {
    /// Their number.
    Count,
    /// Their number in each of these spans of time, which are in order and do not overlap: made by
    /// [`timeline`](crate::timeline). They say the time; `span_ms` is that of the whole.
    Series(Vec<Range<i64>>),
    /// Their number for each value of a dimension, the largest first, at most `limit`. Unknown values come as "".
    Values { dimension: Dimension, limit: u32 },
}

/// A question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "service", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Query {
    pub links: Links,
    /// Unix milliseconds, from and up to, on whole quarter-hours; anything else is widened to them. Of a day whose quarter-hours are not kept any more,
    /// all clicks count at its beginning in UTC.
    #[cfg_attr(feature = "service", schema(value_type = crate::service::http::openapi::Span))]
    pub span_ms: Range<i64>,
    pub bots: Bots,
    #[cfg_attr(feature = "service", schema(value_type = crate::service::http::openapi::GroupForm))]
    pub group: Group,
}

/// How many clicks, by how many visitors.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "service", derive(utoipa::ToSchema))]
pub struct Counted {
    pub clicks: u64,
    /// Unique visitors, people alone, over the whole UTC days that the time asked for touches; exact while few, about 2%
    /// off when many. `None` where days are too coarse for the question (spans of a series shorter than 23 hours), or none is kept (per
    /// value, of bots).
    pub visitors: Option<u64>,
}

/// An answer, in the shape of its [`Group`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "service", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    Count(Counted),
    /// One for each span asked for, zeros included.
    Series(Vec<Counted>),
    Values(Vec<(String, u64)>),
}

/// All that was ever counted of a link.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "service", derive(utoipa::ToSchema))]
pub struct Totals {
    /// People's clicks.
    pub clicks: u64,
    /// Bots' clicks.
    pub bots: u64,
    /// The last click of a person, in Unix milliseconds.
    pub last_ms: Option<i64>,
}

/// Why a question got no answer.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// The question makes no sense; asking again will not help.
    #[error("invalid query: {0}")]
    Invalid(String),
    #[error("analytics does not answer: {0}")]
    Unavailable(#[source] Box<dyn StdError + Send + Sync>),
}

/// Answers questions about clicks. A click answered with a redirect shows here within two seconds.
///
/// Reads only, and may be repeated. Absence is zero: a link that nobody clicked, or that never was, has no clicks.
#[async_trait]
pub trait Queries: Send + Sync + 'static {
    async fn answer(&self, query: &Query) -> Result<Answer, QueryError>;

    /// The totals of each of `links`, in that order.
    async fn totals(&self, links: &[u64]) -> Result<Vec<Totals>, QueryError>;

    /// When the first click of these links was counted, in Unix milliseconds: where "all of the time" begins. `None`
    /// without a click.
    async fn first_click_ms(&self, links: &Links) -> Result<Option<i64>, QueryError>;
}
