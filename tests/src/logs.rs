//! The log of a process, read as a test reads it: a warning that nobody expected is a failure.

use serde_json::Value;

/// Those of `lines` that a healthy run does not write: warnings, errors, and whatever is no log line at all (a panic).
/// A line that holds one of `allowed` is expected.
pub fn unexpected<'a>(lines: &'a [String], allowed: &[String]) -> Vec<&'a str> {
    lines
        .iter()
        .map(String::as_str)
        .filter(|line| is_alarming(line) && !allowed.iter().any(|expected| line.contains(expected.as_str())))
        .collect()
}

fn is_alarming(line: &str) -> bool {
    if line.trim().is_empty() {
        return false;
    }
    match serde_json::from_str::<Value>(line) {
        Ok(Value::Object(event)) => matches!(event.get("level").and_then(Value::as_str), Some("WARN" | "ERROR") | None),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_errors_and_panics_stand_out() {
        let lines = [
            r#"{"level":"INFO","fields":{"message":"ready"}}"#,
            r#"{"level":"WARN","fields":{"message":"the disk is slow"}}"#,
            r#"{"level":"ERROR","fields":{"message":"the disk is gone"}}"#,
            "thread 'main' panicked at src/main.rs:1:1:",
            "",
        ]
        .map(String::from);
        assert_eq!(unexpected(&lines, &[]), &lines[1..4]);
        assert_eq!(unexpected(&lines, &["the disk is slow".into()]), &lines[2..4]);
    }
}
