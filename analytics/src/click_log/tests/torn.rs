//! What a crash or a power failure leaves.

use std::fs;

use super::*;

/// The file of a log with one segment, and where its last record begins and ends.
fn one_segment(folder: &Path) -> (PathBuf, Vec<Read>, usize, usize) {
    let written = write(folder, &[100, 0, 30, 77, 12]);
    let [path, ..] = &files(folder, "clicks")[..] else { panic!("a segment") };
    let (start, end) = (written[3].1 as usize, written[4].1 as usize);
    (path.clone(), written, start, end)
}

/// A file that ends anywhere in the last record has all records before. Seen to fail (a panic) when `frame::read`
/// trusted the length.
#[test]
fn a_file_cut_in_its_last_record_keeps_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let (path, written, start, end) = one_segment(folder.path());
    let whole = fs::read(&path).unwrap();
    for cut in start..end {
        fs::write(&path, &whole[..cut]).unwrap();
        let (read, counts) = reread(folder.path());
        assert_eq!(read, written[..4], "cut at {cut}");
        assert_eq!(counts.get("click_log_torn_total"), 1, "cut at {cut}");
    }
}

/// The same for a file of full length, whose last page has not reached the disk whole.
#[test]
fn zeros_in_the_last_record_keep_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let (path, written, start, end) = one_segment(folder.path());
    let whole = fs::read(&path).unwrap();
    for zero_from in start..end {
        let mut bytes = whole.clone();
        bytes[zero_from..end].fill(0);
        fs::write(&path, bytes).unwrap();
        let (read, counts) = reread(folder.path());
        assert_eq!(read, written[..4], "zeros from {zero_from}");
        let is_torn = zero_from > start;
        assert_eq!(counts.get("click_log_torn_total"), u64::from(is_torn), "zeros from {zero_from}");
    }
}

#[test]
fn a_flipped_byte_anywhere_in_the_last_record_keeps_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let (path, written, start, end) = one_segment(folder.path());
    let whole = fs::read(&path).unwrap();
    for at in start..end {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x55;
        fs::write(&path, bytes).unwrap();
        let (read, counts) = reread(folder.path());
        assert_eq!(read, written[..4], "flipped at {at}");
        assert_eq!(counts.get("click_log_torn_total"), 1, "flipped at {at}");
    }
}

/// A segment cut to any length is read up to there. Seen to fail (it never ended) when a file shorter than its header
/// led back to itself.
#[test]
fn a_segment_cut_to_a_prefix_is_read_up_to_there() {
    let folder = tempfile::tempdir().unwrap();
    let (path, written, ..) = one_segment(folder.path());
    let whole = fs::read(&path).unwrap();
    for cut in (0..whole.len()).step_by(29).chain([63, 64, 65, 4095]) {
        fs::write(&path, &whole[..cut]).unwrap();
        let (read, counts) = reread(folder.path());
        let expected = written.iter().filter(|(_, end, _)| *end as usize <= cut).count();
        assert_eq!(read, written[..expected], "cut at {cut}");
        assert_eq!(counts.get("click_log_torn_total"), 1, "cut at {cut}");
    }
}

/// A break in one segment costs the rest of that segment, and no other. Seen to fail when the first broken record ended
/// the log.
#[test]
fn a_break_in_one_segment_leaves_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let written = write(folder.path(), &[400; 30]);
    let paths = files(folder.path(), "clicks");
    assert!(paths.len() >= 4);
    let mut bytes = fs::read(&paths[1]).unwrap();
    bytes[2048..].fill(0xAA);
    fs::write(&paths[1], bytes).unwrap();
    let (read, counts) = reread(folder.path());
    let kept = |(_, end, _): &&Read| !(4096 + 2048..=2 * 4096).contains(end);
    assert_eq!(read, written.iter().filter(kept).copied().collect::<Vec<_>>());
    assert_eq!(counts.get("click_log_torn_total"), 1);

    fs::remove_file(&paths[1]).unwrap();
    let (read, counts) = reread(folder.path());
    let kept = |(_, end, _): &&Read| !(4096..=2 * 4096).contains(end);
    assert_eq!(read, written.iter().filter(kept).copied().collect::<Vec<_>>());
    assert_eq!(counts.get("click_log_torn_total"), 1);
}

#[test]
fn what_was_written_whole_is_not_torn() {
    let folder = tempfile::tempdir().unwrap();
    let written = write(folder.path(), &[300; 50]);
    let (read, counts) = reread(folder.path());
    assert_eq!(read, written);
    assert_eq!(counts.get("click_log_torn_total"), 0);
}
