//! ScyllaDB's tablets, with which lightweight transactions do not go before its version 2025.4. Not run on a ScyllaDB.

use scylla::client::session::Session;

use crate::cql::CqlError;

/// The version of a ScyllaDB: the first two numbers, if it says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(Option<(u32, u32)>);

/// Whether it is a ScyllaDB, and which: only ScyllaDB has tables of its own beside those of Cassandra.
pub async fn scylla(session: &Session) -> Result<Option<Version>, CqlError> {
    let own = "SELECT table_name FROM system_schema.tables \
               WHERE keyspace_name = 'system_schema' AND table_name = 'scylla_tables'";
    let rows = session.query_unpaged(own, ()).await?.into_rows_result().map_err(CqlError::unreadable)?;
    if rows.rows_num() == 0 {
        return Ok(None);
    }
    let select = "SELECT version FROM system.versions WHERE key = 'local'";
    let rows = session.query_unpaged(select, ()).await?.into_rows_result().map_err(CqlError::unreadable)?;
    let row = rows.maybe_first_row::<(String,)>().map_err(CqlError::unreadable)?;
    Ok(Some(Version::parse(&row.map(|(version,)| version).unwrap_or_default())))
}

/// What the making of a keyspace must say of tablets.
pub fn clause(version: &Version) -> &'static str {
    const OFF: &str = " AND tablets = {'enabled': false}";
    match version.0 {
        // They do not know the word.
        Some((..=5, _) | (1000..=2023, _) | (2024, 0..=1)) => "",
        // Lightweight transactions go with tablets.
        Some((2025, 4..) | (2026.., _)) => "",
        // In doubt it must work.
        _ => OFF,
    }
}

impl Version {
    /// `6.2.1`, `2025.1.0~rc1`
    fn parse(text: &str) -> Self {
        let mut numbers = text.split(['.', '-', '~']).map(str::parse);
        match (numbers.next(), numbers.next()) {
            (Some(Ok(major)), Some(Ok(minor))) => Version(Some((major, minor))),
            _ => Version(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seen to fail when versions were compared as texts.
    #[test]
    fn tablets_are_off_where_conditions_need_it_and_the_word_is_known() {
        let off = |version| !clause(&Version::parse(version)).is_empty();
        for version in ["6.0.0", "6.2.3", "2024.2.1", "2025.1.0", "2025.3.9", "2025.1.0~rc1", "unknown"] {
            assert!(off(version), "{version}");
        }
        for version in ["5.4.10", "2023.1.2", "2024.1.9", "2025.4.0", "2025.10.1", "2026.1.0"] {
            assert!(!off(version), "{version}");
        }
    }
}
