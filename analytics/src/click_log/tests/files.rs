//! Whose folder it is, and what in it is not ours.

use std::fs;

use super::{
    super::header::{Header, VERSION},
    *,
};

fn refusal(folder: &Path) -> Error {
    match ClickLogs::open(folder, small()) {
        Ok(_) => panic!("it opened"),
        Err(error) => error,
    }
}

/// Seen to fail without the lock.
#[test]
fn a_folder_has_one_process() {
    let folder = tempfile::tempdir().unwrap();
    let logs = ClickLogs::open(folder.path(), small()).unwrap();
    assert!(matches!(refusal(folder.path()), Error::Locked(_)));
    drop(logs);
    ClickLogs::open(folder.path(), small()).expect("it is free again");
}

/// Seen to fail when a second reader found nothing instead.
#[test]
fn there_is_one_reader_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let written = write(folder.path(), &[10; 3]);
    let logs = ClickLogs::open(folder.path(), small()).unwrap();
    let mut reader = logs.reader().unwrap();
    assert!(matches!(logs.reader(), Err(Error::ReaderInUse)));
    assert_eq!(read_all(&mut reader), written);
    drop(reader);
    assert_eq!(read_all(&mut logs.reader().unwrap()), written);
}

/// What is not ours, or newer than we are, stops the start, says which file, and is left as it is. Seen to fail when
/// the file was taken for a torn one, and when the version was not looked at.
#[test]
fn files_that_are_not_ours_stop_the_start() {
    let header = Header { log: LogId(1), base: 0, segment_bytes: 4096 }.encode();
    let mut newer = header;
    newer[8..12].copy_from_slice(&(VERSION + 1).to_le_bytes());
    let right = format!("{}-{:016x}.clicks", LogId(1), 0);
    let cases: [(&str, &[u8]); 5] = [
        (&right, b"PNG, or whatever else this is"),
        (&right, b"P"),
        (&right, &newer),
        ("notes.clicks", b""),
        (&format!("{}-{:016x}.clicks", LogId(2), 0), &header),
    ];
    for (name, contents) in cases {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        fs::write(&path, contents).unwrap();
        let error = refusal(folder.path());
        assert!(matches!(error, Error::Foreign(_) | Error::Newer { version: 2, .. }), "{error}");
        assert!(error.to_string().contains(name), "{error}");
        assert_eq!(fs::read(&path).unwrap(), contents);
    }
}

/// Spares of an earlier process go; what does not bear a name of the click log stays.
#[test]
fn other_files_are_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("README"), "mine").unwrap();
    fs::write(folder.path().join("0123456789abcdef.spare"), "spare").unwrap();
    let _logs = ClickLogs::open(folder.path(), small()).unwrap();
    assert!(folder.path().join("README").exists());
    assert_eq!(files(folder.path(), "spare"), [] as [PathBuf; 0]);
}

/// A header that a power failure spoiled costs nothing but a warning.
#[test]
fn a_broken_header_does_not_hide_the_records() {
    let folder = tempfile::tempdir().unwrap();
    let written = write(folder.path(), &[10; 3]);
    let path = &files(folder.path(), "clicks")[0];
    let mut bytes = fs::read(path).unwrap();
    for broken in [&b"SEPTCLIK\x01\0\0\0rubbish"[..], &[0; 64]] {
        bytes[..broken.len()].copy_from_slice(broken);
        fs::write(path, &bytes).unwrap();
        let (read, counts) = reread(folder.path());
        assert_eq!(read, written);
        assert_eq!(counts.get("click_log_torn_total"), 1);
    }
}

/// A file that cannot be read is told, and holds up no other log. Seen to fail when the first failure ended the call.
#[test]
fn an_unreadable_log_does_not_hold_up_the_others() {
    let folder = tempfile::tempdir().unwrap();
    for _ in 0..3 {
        write(folder.path(), &[10; 3]);
    }
    let first = files(folder.path(), "clicks").swap_remove(0);
    let (logs, counts) = open(folder.path(), small());
    let hidden = folder.path().join("hidden");
    fs::rename(&first, &hidden).unwrap();
    fs::create_dir(&first).unwrap();
    let mut reader = logs.reader().unwrap();
    let mut writer = logs.writer().unwrap();
    writer.append(&click(1, b"")).unwrap();
    assert_eq!(read_all(&mut reader).len(), 2 * 3 + 1);
    assert!(counts.get("click_log_read_failures_total") > 0);
    assert!(!reader.is_drained());

    drop(reader);
    fs::remove_dir(&first).unwrap();
    fs::rename(&hidden, &first).unwrap();
    assert_eq!(read_all(&mut logs.reader().unwrap()).len(), 3 * 3 + 1);
}
