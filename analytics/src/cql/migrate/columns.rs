//! Columns that are added to a table, looked for first: `ADD IF NOT EXISTS` is known to Cassandra, and not to ScyllaDB.

use crate::cql::{Cql, CqlError, Kind};

/// Whether a statement is one that adds columns, and was carried out. All of its columns come at once, so the first one tells.
pub async fn are_there(cql: &Cql, statement: &str) -> Result<bool, CqlError> {
    let Some((table, column)) = first_added(statement) else { return Ok(false) };
    let select = "SELECT column_name FROM system_schema.columns \
                  WHERE keyspace_name = ? AND table_name = ? AND column_name = ?";
    let select = cql.prepare(Kind::Read, select).await?;
    Ok(cql.rows(&select, (cql.keyspace(), table, column)).await?.rows_num() > 0)
}

/// The table and the first column of `ALTER TABLE table ADD (column type, ...)`.
fn first_added(statement: &str) -> Option<(&str, &str)> {
    let mut words = statement.split(|c: char| c.is_whitespace() || c == '(').filter(|word| !word.is_empty());
    match [(); 5].map(|()| words.next()) {
        [Some("ALTER"), Some("TABLE"), Some(table), Some("ADD"), Some(column)] => Some((table, column)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seen to fail when a table was told by its option.
    #[test]
    fn what_adds_columns_is_told_from_all_else() {
        assert_eq!(first_added("ALTER TABLE a ADD (\n  b blob,\n  c int\n)"), Some(("a", "b")));
        assert_eq!(first_added("ALTER TABLE a ADD b blob"), Some(("a", "b")));
        for other in ["ALTER TABLE a WITH comment = 'ADD b'", "CREATE TABLE IF NOT EXISTS a (b int PRIMARY KEY)", ""] {
            assert_eq!(first_added(other), None, "{other}");
        }
    }
}
