//! One person at two shorteners.

use std::time::Duration;

use septet_tests::{system::EACH, wait};

use crate::{
    changes::made,
    counted::{asked, start},
};

/// How long each step may take on a busy machine.
const WITHIN: Duration = Duration::from_secs(60);

/// Seen to fail when each shortener had salts of its own.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs MariaDB, Kafka and Cassandra: run by tests/run"]
async fn who_opens_a_link_at_two_shorteners_is_one_visitor() {
    let (_turn, system) = start().await;
    let clients: Vec<_> = (0..EACH).map(|number| system.client(number)).collect();
    let link = wait::until("a link is made", WITHIN, async || made(&clients[0]).await).await;
    for client in &clients {
        let opened = async || (client.open(&link.key).await.status == 302).then_some(());
        wait::until("it is opened", WITHIN, opened).await;
    }
    let counted = wait::until("both clicks are counted", WITHIN, async || {
        let counted = asked(&clients[0], "count", Some(&link.id)).await?;
        (counted["clicks"] == EACH).then_some(counted)
    })
    .await;
    assert_eq!(counted["uniqueVisitors"], 1, "{counted}");
}
