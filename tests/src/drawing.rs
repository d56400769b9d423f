//! Ids drawn by `septet-drawer` processes, and whether one came twice.

use std::{
    fs::File,
    io::{BufReader, Read},
    path::Path,
};

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

/// What a drawer has done so far: a line of its output.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drawn {
    /// Ids that it wrote to its file.
    pub ids: u64,
    /// Times that no id came although it was waited for.
    pub waits_in_vain: u64,
    /// Claims that the link store refused.
    pub refusals_seen: u64,
    /// The same, by the allocator's metric.
    pub refusals_counted: u64,
    /// It has handed back everything: its last line.
    pub closed: bool,
}

/// Which ids came already: a bit for each, as they lie close together from zero on.
#[derive(Debug, Default)]
pub struct Seen {
    bits: Vec<u64>,
    ids: u64,
}

/// The most ids that are told apart: 512 MiB of bits.
const IDS_MAX: u64 = 1 << 32;

impl Seen {
    /// Takes note of every id in a file. An error names one that came twice; a torn last one is left out.
    pub fn add(&mut self, file: &Path) -> Result<()> {
        let mut reader = BufReader::new(File::open(file).with_context(|| file.display().to_string())?);
        let mut id = [0; 8];
        while read_whole(&mut reader, &mut id)? {
            self.add_id(u64::from_le_bytes(id)).with_context(|| file.display().to_string())?;
        }
        Ok(())
    }

    fn add_id(&mut self, id: u64) -> Result<()> {
        ensure!(id < IDS_MAX, "id {id} lies further off than leases of this test can");
        let (word, bit) = ((id / 64) as usize, 1 << (id % 64));
        if word >= self.bits.len() {
            self.bits.resize(word + 1024, 0);
        }
        ensure!(self.bits[word] & bit == 0, "id {id} came twice");
        self.bits[word] |= bit;
        self.ids += 1;
        Ok(())
    }

    /// How many there are.
    pub fn ids(&self) -> u64 {
        self.ids
    }
}

fn read_whole(reader: &mut impl Read, bytes: &mut [u8]) -> Result<bool> {
    match reader.read_exact(bytes) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_that_comes_twice_is_found_across_files() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, ids: &[u64], torn: &[u8]| {
            let bytes: Vec<u8> = ids.iter().flat_map(|id| id.to_le_bytes()).chain(torn.iter().copied()).collect();
            std::fs::write(dir.path().join(name), bytes).unwrap();
            dir.path().join(name)
        };
        let mut seen = Seen::default();
        seen.add(&write("one", &[0, 64, 63, 70_000], &[9, 9])).unwrap();
        seen.add(&write("two", &[1, 65], &[])).unwrap();
        assert_eq!(seen.ids(), 6);
        let error = seen.add(&write("three", &[2, 70_000], &[])).unwrap_err();
        assert!(format!("{error:#}").contains("id 70000 came twice"), "{error:#}");
    }
}
