//! What a conditional statement answered.

use std::collections::HashMap;

use scylla::{
    response::query_result::QueryRowsResult,
    value::{CqlValue, Row},
};
use uuid::Uuid;

use super::CqlError;

/// What came of a conditional statement (a lightweight transaction).
#[derive(Debug, Clone, PartialEq)]
pub enum Conditional {
    Applied,
    /// Nothing was changed.
    Refused(Held),
}

/// What stood in the way of a conditional statement: the columns that it named, or the whole row; or nothing, where there is no
/// row. Columns are read by their names: which ones come differs between Cassandra and ScyllaDB.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Held(HashMap<String, CqlValue>);

/// The column that says whether the condition held.
const APPLIED: &str = "[applied]";

impl Conditional {
    pub(super) fn read(rows: &QueryRowsResult) -> Result<Self, CqlError> {
        let names = rows.column_specs().iter().map(|column| column.name().to_owned()).collect::<Vec<_>>();
        let row: Row = rows.first_row().map_err(CqlError::unreadable)?;
        let mut held: HashMap<String, CqlValue> =
            names.into_iter().zip(row.columns).filter_map(|(name, value)| Some((name, value?))).collect();
        match held.remove(APPLIED) {
            Some(CqlValue::Boolean(true)) => Ok(Conditional::Applied),
            Some(CqlValue::Boolean(false)) => Ok(Conditional::Refused(Held(held))),
            other => Err(CqlError::unreadable(format!("{APPLIED} is {other:?}"))),
        }
    }
}

impl Held {
    pub fn bigint(&self, column: &str) -> Option<i64> {
        self.0.get(column)?.as_bigint()
    }

    pub fn uuid(&self, column: &str) -> Option<Uuid> {
        self.0.get(column)?.as_uuid()
    }

    pub fn blob(&self, column: &str) -> Option<&[u8]> {
        self.0.get(column)?.as_blob().map(Vec::as_slice)
    }

    pub fn text(&self, column: &str) -> Option<&str> {
        self.0.get(column)?.as_text().map(String::as_str)
    }
}
