//! Instances whose token service is not theirs.

use std::time::Duration;

use septet_tests::{
    engines::mariadb, process::Launch, restartable::Restartable, septet::Setup, token_service as services, wait,
};

use super::setting::{CALL_FAILED, Cluster, client};

/// Long enough for an instance to have renewed its leases.
const TOLD_WITHIN: Duration = Duration::from_secs(20);

const OTHER_SECRET: &str = "another-secret-that-nobody-guesses";

/// What it says when it will not start.
fn refusal(setup: Setup) -> String {
    let ended = setup.run_to_end("serve");
    let said = ended.stderr_text();
    assert!(!ended.status.success(), "{said}");
    assert!(!said.contains("panicked") && !said.contains(services::SECRET) && !said.contains(OTHER_SECRET), "{said}");
    said
}

/// Seen to fail when links that were pinned already were not compared with the leases.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs MariaDB: run by tests/run"]
async fn an_instance_of_another_id_space_or_with_a_wrong_secret_does_not_start() {
    let (ours, theirs) = (mariadb::database(), mariadb::database());
    let cluster = Cluster::start(&ours.url(), |launch| launch);
    let others = Cluster::start(&theirs.url(), |launch| launch);

    let without = cluster.setup_without_secret("without");
    let with_another = cluster.setup("another").env("SEPTET_TOKEN_SERVICE_SECRET", OTHER_SECRET);
    for setup in [without, with_another] {
        let said = refusal(setup);
        assert!(said.contains("--leases") && said.contains("--token-service-secret"), "{said}");
    }

    cluster.instance("pins").stop();
    let strayed = cluster.setup("strayed").flag("--leases", services::urls(&others.addresses()));
    let said = refusal(strayed);
    assert!(said.contains("--links belongs to the id space") && said.contains("--leases"), "{said}");
    assert_eq!(others.account().await.handed_out, 0, "nothing was leased for codes of another id space");
}

/// The services become others than they were, at the same addresses.
fn replace(cluster: &mut Cluster, change: impl Fn(Launch) -> Launch) {
    cluster.kill_services();
    cluster.services.iter_mut().for_each(|service| service.change(&change));
    cluster.start_services();
}

/// Seen to fail when a refused secret ended the giving out of codes.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs MariaDB: run by tests/run"]
async fn a_running_instance_goes_on_with_what_it_has() {
    let (ours, theirs) = (mariadb::database(), mariadb::database());
    let other_directory = tempfile::tempdir().unwrap();
    services::migrate(&theirs.url(), other_directory.path());
    let mut cluster = Cluster::start(&ours.url(), |launch| launch.flag("--lease-ttl-ms", "1500"));
    let said = [CALL_FAILED, "a lease is lost"];
    let setup = said.into_iter().fold(cluster.setup("one"), |setup, text| setup.allow_log(text));
    let mut instance = Restartable::started(setup.launch());
    let client = client(&instance);
    let link = client.link_to("https://example.com/first").await;

    for changed in ["secret", "id space"] {
        let errors = instance.running().metric("septet_lease_errors_total").await;
        replace(&mut cluster, |launch| match changed {
            "secret" => launch.env("SEPTET_TOKEN_SERVICE_SECRET", OTHER_SECRET),
            _ => launch.env("SEPTET_TOKEN_SERVICE_SECRET", services::SECRET).env("SEPTET_DATABASE", theirs.url()),
        });
        wait::until("refused calls", TOLD_WITHIN, async || {
            (instance.running().metric("septet_lease_errors_total").await > errors + 1.0).then_some(())
        })
        .await;
        for n in 0..50 {
            client.link_to(&format!("https://example.com/{changed}/{n}")).await;
        }
        assert_eq!(client.open(&link.key).await.status, 302);
    }
    let leases = services::client(&cluster.addresses());
    let account = token_service::LeaseRecords::account(&leases).await.unwrap();
    assert_eq!(account.handed_out, 0, "nothing was leased for codes of another id space");
    instance.stop();
}
