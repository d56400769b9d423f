//! What rows are called in a table, whatever the store.

use crate::{
    query::Dimension,
    rollups::{Part, RollupsError, Subject, row::DecodeError},
};

/// The column of a part.
pub(super) fn column(part: Part) -> &'static str {
    match part {
        Part::Clicks => "clicks",
        Part::Visitors => "visitors",
        Part::Values(dimension) => match dimension {
            Dimension::Continent => "continent",
            Dimension::Country => "country",
            Dimension::Region => "region",
            Dimension::City => "city",
            Dimension::Device => "device",
            Dimension::Browser => "browser",
            Dimension::Os => "os",
            Dimension::Referer => "referer",
            Dimension::Link => "link",
        },
    }
}

/// The number of a subject. Ids of links lie below 62^7, so none is mistaken for [`Subject::All`].
pub(super) fn subject_number(subject: Subject) -> i64 {
    match subject {
        Subject::All => -1,
        Subject::Link(id) => id.cast_signed(),
    }
}

/// A number that is stored as it is and compared there: a sequence number, an offset or a count.
pub(super) fn number(number: u64) -> Result<i64, RollupsError> {
    i64::try_from(number).map_err(RollupsError::unavailable)
}

impl RollupsError {
    pub(super) fn unavailable(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        RollupsError::Unavailable(error.into())
    }
}

impl From<DecodeError> for RollupsError {
    fn from(error: DecodeError) -> Self {
        RollupsError::Unreadable(error.into())
    }
}
