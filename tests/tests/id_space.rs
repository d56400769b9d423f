//! The id space: a link store belongs to one, for ever.

use std::fs;

use septet_tests::septet::Setup;

/// Seen to fail when the fingerprint was not compared.
#[tokio::test(flavor = "multi_thread")]
async fn a_link_store_of_another_id_space_is_refused() {
    let (ours, theirs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for dir in [&ours, &theirs] {
        let septet = Setup::new(dir.path()).start();
        septet.client().link_to("https://example.com/").await;
        septet.stop();
    }
    let before = fs::read(ours.path().join("links.db")).unwrap();
    fs::copy(theirs.path().join("leases.db"), ours.path().join("leases.db")).unwrap();
    let ended = Setup::new(ours.path()).run_to_end("serve");
    assert!(!ended.status.success());
    let said = ended.stderr_text();
    assert!(said.contains("--links") && said.contains("--leases") && said.contains("id space"), "{said}");
    assert_eq!(fs::read(ours.path().join("links.db")).unwrap(), before, "nothing was changed");
}

/// A store that is copied after a clean stop is whole without SQLite's own log beside it.
/// Seen to fail when only the link store was closed.
#[tokio::test(flavor = "multi_thread")]
async fn a_clean_stop_leaves_every_store_in_one_file() {
    let dir = tempfile::tempdir().unwrap();
    let septet = Setup::new(dir.path()).start();
    septet.client().link_to("https://example.com/").await;
    septet.stop();
    let left: Vec<String> = fs::read_dir(dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with("-wal"))
        .collect();
    assert_eq!(left, Vec::<String>::new());
}
