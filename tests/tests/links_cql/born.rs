//! What no clock of an instance decides.

use analytics::cql::Kind;
use shortener::{
    link::Link,
    store::{
        Created, Links, Replaced,
        conformance::{external_id, generated},
    },
};

use crate::{
    keyspace::Keyspace,
    work::{create, next},
};

/// A link is born before any time that a cluster or an instance gives, so whatever is written to it later wins, however far its instance's
/// clock is off; what is written later has the cluster's time.
///
/// Seen to fail when a link was born without a timestamp of its own: by an instance whose clock is ahead, an edit would be lost.
#[tokio::test]
#[ignore = "needs Cassandra: run by tests/run"]
async fn edits_and_deletions_win_over_the_creation_whatever_the_clocks_say() {
    let keyspace = Keyspace::new().await;
    let store = keyspace.instance().await;
    let session = keyspace.session().await;
    let written = session.prepare(Kind::Read, "SELECT WRITETIME(url) FROM links WHERE id = ?").await.unwrap();
    let written_at = async |id: u64| {
        let rows = session.rows(&written, (id.cast_signed(),)).await.unwrap();
        rows.single_row::<(Option<i64>,)>().unwrap().0
    };

    let (edited, deleted) = (generated(1), generated(100));
    for link in [&edited, &deleted] {
        assert_eq!(create(&store, link.clone()).await, Created::Created);
        assert_eq!(written_at(link.id.0).await, Some(1));
    }
    let after = Link { title: Some("T".to_owned()), external_id: Some(external_id("e")), ..next(&edited) };
    assert_eq!(store.replace(&edited, &after).await.unwrap(), Replaced::Replaced);
    assert_eq!(store.delete(deleted.id).await.unwrap().as_ref(), Some(&deleted));

    // The creations once more, as a statement does that was sent twice and is late.
    for link in [&edited, &deleted] {
        let _ = create(&store, link.clone()).await;
    }
    assert_eq!(store.by_id(edited.id).await.unwrap(), Some(after));
    assert_eq!(store.by_id(deleted.id).await.unwrap(), None);
}
