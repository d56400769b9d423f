use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf};

use proptest::prelude::*;
use tempfile::TempDir;

use super::counted;
use crate::enrich::{
    salts::{FileSalts, LATE_MS, Salts},
    visitor::{PERIOD_MS, period},
};

/// A moment in the middle of period 100, in Unix milliseconds.
const NOW_MS: i64 = 100 * PERIOD_MS + PERIOD_MS / 2;

struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Folder(tempfile::tempdir().unwrap())
    }

    fn file(&self) -> PathBuf {
        self.0.path().join("visitor-salts")
    }

    fn open(&self, now_ms: i64) -> FileSalts {
        FileSalts::open(&self.file(), now_ms).unwrap()
    }
}

/// Seen to fail when a new salt was not saved.
#[test]
fn a_salt_survives_a_restart_in_its_period() {
    let folder = Folder::new();
    let mut salts = folder.open(NOW_MS);
    let (last, current) = (salts.salt(99), salts.salt(100));
    assert_ne!(last, current);
    assert_eq!(salts.salt(99), last);
    assert_eq!(salts.salt(100), current);
    // A leftover of a crash in the middle of replacing the file is no obstacle.
    fs::write(folder.file().with_extension("new"), "half").unwrap();
    let mut again = folder.open(100 * PERIOD_MS);
    assert_eq!((again.salt(99), again.salt(100)), (last, current));
}

#[test]
fn only_the_owner_may_read_the_file() {
    let folder = Folder::new();
    fs::write(folder.file(), "SEPSALT1").unwrap();
    fs::set_permissions(folder.file(), fs::Permissions::from_mode(0o644)).unwrap();
    folder.open(NOW_MS).salt(100);
    assert_eq!(fs::metadata(folder.file()).unwrap().permissions().mode() & 0o777, 0o600);
}

/// Seen to fail when `expire` did not save, and when it kept what is over.
#[test]
fn a_salt_is_thrown_away_after_its_period() {
    let folder = Folder::new();
    let mut salts = folder.open(NOW_MS);
    let salt = salts.salt(100);
    let over_ms = 101 * PERIOD_MS + LATE_MS;
    salts.expire(over_ms - 1);
    assert_eq!(salts.salt(100), salt, "late clicks still find it");
    let holds = |salt: &[u8]| fs::read(folder.file()).unwrap().windows(32).any(|bytes| bytes == salt);
    assert!(holds(&salt));
    salts.expire(over_ms);
    assert!(!holds(&salt));
    assert_ne!(salts.salt(100), salt);
}

#[test]
fn a_start_throws_away_what_is_over() {
    let folder = Folder::new();
    let salt = folder.open(NOW_MS).salt(100);
    drop(folder.open(NOW_MS + 2 * PERIOD_MS));
    assert_ne!(folder.open(NOW_MS).salt(100), salt);
}

/// Seen to fail when the salt used last was the first to go.
#[test]
fn a_clock_that_jumps_and_returns_costs_nothing() {
    let folder = Folder::new();
    let mut salts = folder.open(NOW_MS);
    let salt = salts.salt(100);
    for jump in [4_000_000, 0, u32::MAX, 99] {
        salts.salt(jump);
        assert_eq!(salts.salt(100), salt);
    }
    assert_eq!(fs::read(folder.file()).unwrap().len(), 8 + 3 * 36, "three salts at most");
}

/// Seen to fail when a shared salt was not saved.
#[test]
fn a_period_without_a_salt_takes_the_shared_one() {
    let folder = Folder::new();
    let mut salts = folder.open(NOW_MS);
    let late = salts.salt(99);
    assert_eq!(salts.held(100), None);
    assert!(salts.share(100, [1; 32]) && salts.share(101, [2; 32]));
    assert_eq!([99, 100, 101].map(|period| salts.held(period)), [Some(late), Some([1; 32]), Some([2; 32])]);
    let mut again = folder.open(100 * PERIOD_MS);
    assert_eq!([99, 100, 101].map(|period| again.salt(period)), [late, [1; 32], [2; 32]]);
    assert!(again.share(100, [1; 32]), "it is this one already");
    // Thrown away as any other.
    again.expire(101 * PERIOD_MS + LATE_MS);
    assert_eq!((again.held(100), again.held(101)), (None, Some([2; 32])));
    assert_eq!(folder.open(NOW_MS).held(100), None);
}

/// Seen to fail when the shared salt took the place of one in use.
#[test]
fn a_salt_in_use_stays_to_the_end_of_its_period() {
    let folder = Folder::new();
    let mut salts = folder.open(NOW_MS);
    let own = salts.salt(100);
    assert!(!salts.share(100, [1; 32]));
    assert_eq!(salts.salt(100), own);
    let mut again = folder.open(NOW_MS);
    assert!(!again.share(100, [1; 32]));
    assert_eq!((again.salt(100), again.held(100)), (own, Some(own)));
}

/// Seen to fail when the length was not looked at.
#[test]
fn a_damaged_file_is_replaced() {
    let folder = Folder::new();
    let damaged: &[&[u8]] = &[b"", b"SEPSALT", b"SEPSALT0", b"SEPSALT1 and more", &[0; 80], b"SEPSALT1\0\0\0\0"];
    for bytes in damaged {
        fs::write(folder.file(), bytes).unwrap();
        let counts = counted(|| {
            let salt = folder.open(NOW_MS).salt(100);
            assert_eq!(folder.open(NOW_MS).salt(100), salt, "{bytes:?}");
        });
        assert!(counts.contains("septet_visitor_salt_failures_total{operation=\"read\"} 1"), "{bytes:?}: {counts}");
    }
}

#[test]
fn a_folder_that_cannot_be_written_to_stops_the_start() {
    let folder = Folder::new();
    let nowhere = folder.0.path().join("missing/visitor-salts");
    let error = FileSalts::open(&nowhere, NOW_MS).err().unwrap().to_string();
    assert!(error.starts_with("the visitor salts cannot be kept in ") && error.contains("missing"), "{error}");
}

#[test]
fn salts_go_on_in_memory_when_the_folder_is_gone() {
    let folder = Folder::new();
    let mut salts = folder.open(NOW_MS);
    fs::remove_dir_all(folder.0.path()).unwrap();
    let counts = counted(|| {
        let salt = salts.salt(100);
        assert_eq!(salts.salt(100), salt);
    });
    assert!(counts.contains("septet_visitor_salt_failures_total{operation=\"write\"} 1"), "{counts}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn any_file_opens(bytes in prop::collection::vec(any::<u8>(), 0..100), magic in any::<bool>(), now_ms in any::<i64>()) {
        let folder = Folder::new();
        fs::write(folder.file(), if magic { [b"SEPSALT1", &bytes[..]].concat() } else { bytes }).unwrap();
        let mut salts = folder.open(now_ms);
        let current = period(now_ms);
        let salt = salts.salt(current);
        salts.expire(now_ms);
        prop_assert_eq!(salts.salt(current), salt);
    }
}
