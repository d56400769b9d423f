//! `kill -9` of a process that writes: this test's own program, started again with a variable that makes it a writer.

use std::{
    collections::BTreeMap,
    env,
    io::{BufRead, BufReader, Write},
    process::{Command, Stdio},
};

use super::*;

const FOLDER: &str = "SEPTET_TEST_KILL_FOLDER";
const ROUNDS: usize = 4;
/// How many clicks a writer says it has appended before it is killed, at least.
const CLICKS: u64 = 3000;

/// Not a test by itself: the process that is killed. Appends for ever, and says after each click how many there are.
#[test]
fn writer_to_be_killed() {
    let Ok(folder) = env::var(FOLDER) else { return };
    let options = Options { segment_bytes: 64 << 10, ..small() };
    let logs = ClickLogs::open(Path::new(&folder), options).expect("the logs open");
    let mut writer = logs.writer().expect("there is room");
    let mut out = std::io::stdout().lock();
    for link in 0.. {
        writer.append(&click(link, &[b'a'; 90])).expect("there is room");
        writeln!(out, "appended {} {}", writer.log().0, link + 1).expect("somebody listens");
    }
}

/// Everything that was appended before the kill is read, in order and whole, over several lives of the process. Seen to
/// fail when the segment was mapped privately (`map_copy`).
#[test]
fn a_killed_writer_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut said = BTreeMap::<LogId, u64>::new();
    for _ in 0..ROUNDS {
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["--exact", "click_log::tests::kill::writer_to_be_killed", "--nocapture"])
            .env(FOLDER, folder.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut is_alive = true;
        for line in BufReader::new(child.stdout.take().unwrap()).lines() {
            let line = line.unwrap();
            let mut words = line.split(' ').skip_while(|word| *word != "appended").skip(1);
            let (Some(Ok(log)), Some(Ok(count))) = (words.next().map(str::parse), words.next().map(str::parse)) else {
                continue;
            };
            said.insert(LogId(log), count);
            if count >= CLICKS && is_alive {
                is_alive = false;
                child.kill().unwrap();
            }
        }
        assert!(!child.wait().unwrap().success());
    }
    let (read, counts) = reread(folder.path());
    assert_eq!(said.len(), ROUNDS);
    let mut found = BTreeMap::<LogId, u64>::new();
    for (log, _, link) in read {
        let count = found.entry(log).or_default();
        assert_eq!(link, *count, "a gap");
        *count += 1;
    }
    for (log, count) in said {
        assert!(found[&log] >= count, "{count} were appended, {} found", found[&log]);
    }
    assert_eq!(counts.get("click_log_torn_total"), 0);
}
