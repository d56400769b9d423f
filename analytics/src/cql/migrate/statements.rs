//! The statements of a file, as they are run.

const CREATE: &str = "CREATE TABLE ";

/// The statements, without comments, each made to bear being run again if it makes a table. Texts in quotes hold neither `;` nor `--`.
pub fn of(cql: &str) -> Vec<String> {
    let bare: Vec<_> = cql.lines().map(|line| line.split("--").next().unwrap_or_default()).collect();
    let bare = bare.join("\n");
    bare.split(';').map(str::trim).filter(|statement| !statement.is_empty()).map(again).collect()
}

fn again(statement: &str) -> String {
    match statement.strip_prefix(CREATE) {
        Some(table) => format!("{CREATE}IF NOT EXISTS {table}"),
        None => statement.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seen to fail when a semicolon in a comment ended a statement.
    #[test]
    fn comments_are_left_out_and_tables_are_made_once() {
        let file =
            "-- A; b\nCREATE TABLE a (\n  -- c; d\n  b int PRIMARY KEY -- e\n);\n\nALTER TABLE a ADD c int;\n-- f\n";
        let found: Vec<String> =
            of(file).iter().map(|text| text.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        assert_eq!(found, ["CREATE TABLE IF NOT EXISTS a ( b int PRIMARY KEY )", "ALTER TABLE a ADD c int"]);
    }
}
