//! How much room files take.

use std::{fs, path::Path};

use anyhow::{Context, Result};

/// Bytes of all files in a folder, and in those within it, whose names end so.
///
/// # Errors
/// When there is no such folder.
pub fn bytes(folder: &Path, ending: &str) -> Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            bytes += self::bytes(&entry.path(), ending)?;
        } else if entry.file_name().to_string_lossy().ends_with(ending) {
            bytes += entry.metadata()?.len();
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_one_ending_are_added_up_wherever_they_are() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("inner")).unwrap();
        for (name, len) in [("a.log", 3), ("inner/b.log", 4), ("c.index", 100)] {
            fs::write(folder.path().join(name), vec![0; len]).unwrap();
        }
        assert_eq!(bytes(folder.path(), ".log").unwrap(), 7);
        assert!(bytes(&folder.path().join("missing"), ".log").is_err());
    }
}
