//! Which id space this instance belongs to: the one its links are pinned to or, at the very first start, that of its leases.
//!
//! Codes of two id spaces would clash, so an instance never serves links of one with leases of the other. But a lease store
//! that does not answer keeps nobody from serving links that are there.

use std::time::Duration;

use anyhow::bail;
use token_service::{Fingerprint, IdSpace, LeaseError, Leases};
use tokio::time::{Instant, sleep, timeout};

use crate::{
    backoff::Backoff,
    outage::Outage,
    store::{Claims, Pinned},
};

/// How long a start with pinned links waits for the lease store to say that it is of the same id space.
const ASK_LIMIT: Duration = Duration::from_secs(3);
/// The first start of all asks again after this long, and then less and less often.
const ASK_AGAIN_MIN: Duration = Duration::from_millis(100);
/// The longest it waits before it asks again.
const ASK_AGAIN_MAX: Duration = Duration::from_secs(10);

/// The id space of both, to which the links are pinned when this returns. Links that were never pinned wait for the lease
/// store, for as long as that takes; drop the call to give up.
///
/// # Errors
/// A sentence for a person: the two belong to different id spaces, or the lease store will not talk to this instance.
pub async fn settle(claims: &dyn Claims, leases: &dyn Leases) -> anyhow::Result<IdSpace> {
    match claims.id_space().await? {
        Some(ours) => confirm(ours, leases).await,
        None => pin(claims, first_answer(leases).await?).await,
    }
}

/// Asks the lease store once.
async fn confirm(ours: IdSpace, leases: &dyn Leases) -> anyhow::Result<IdSpace> {
    let answer = timeout(ASK_LIMIT, leases.id_space()).await;
    match answer {
        Ok(Ok(theirs)) if theirs == ours => {}
        Ok(Ok(theirs)) => bail!(clash(ours.fingerprint(), theirs.fingerprint())),
        Ok(Err(LeaseError::WrongIdSpace { ours, theirs })) => bail!(clash(ours, theirs)),
        Ok(Err(error)) => tracing::warn!(%error, "{STARTS_WITHOUT}"),
        Err(_) => tracing::warn!(waited_ms = ASK_LIMIT.as_millis() as u64, "{STARTS_WITHOUT}"),
    }
    Ok(ours)
}

const STARTS_WITHOUT: &str =
    "the lease store does not say which id space it is; links are served, and new ones made once it leases";

async fn pin(claims: &dyn Claims, theirs: IdSpace) -> anyhow::Result<IdSpace> {
    match claims.pin_id_space(&theirs).await? {
        Pinned::Ours => Ok(theirs),
        Pinned::Theirs(pinned) => bail!(clash(pinned, theirs.fingerprint())),
    }
}

fn clash(links: Fingerprint, leases: Fingerprint) -> String {
    format!(
        "--links belongs to the id space {links}, --leases to {leases}: their codes would clash. \
         Name the lease store that these links were made with."
    )
}

/// The lease store's id space, asked for until it says so.
async fn first_answer(leases: &dyn Leases) -> anyhow::Result<IdSpace> {
    let mut backoff = Backoff::new(ASK_AGAIN_MIN, ASK_AGAIN_MAX);
    let mut outage = Outage::default();
    loop {
        match leases.id_space().await {
            Ok(id_space) => {
                if let Some(over) = outage.answered(Instant::now()) {
                    tracing::info!(waited_ms = over.lasted.as_millis() as u64, "the lease store answers");
                }
                return Ok(id_space);
            }
            Err(error @ (LeaseError::Unavailable(_) | LeaseError::Overloaded)) => {
                if let Some(failures) = outage.failed(Instant::now()) {
                    tracing::warn!(%error, failures, "the first start of all waits for the lease store");
                }
                sleep(backoff.pause()).await;
            }
            // It would be the same the next time.
            Err(error) => bail!("--leases: {error}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        future::pending,
        sync::atomic::{AtomicU32, Ordering},
    };

    use async_trait::async_trait;
    use token_service::{Lease, LeaseId, LeaseRequest, Owner, Usage};

    use super::*;
    use crate::store::{Store, sqlite::SqliteStore};

    /// Says which id space it is as `answer` does, which gets the number of the call.
    struct Asked<F> {
        calls: AtomicU32,
        answer: F,
    }

    fn asked<F>(answer: F) -> Asked<F> {
        Asked { calls: AtomicU32::new(0), answer }
    }

    #[async_trait]
    impl<F: Fn(u32) -> Option<Result<IdSpace, LeaseError>> + Send + Sync + 'static> Leases for Asked<F> {
        async fn id_space(&self) -> Result<IdSpace, LeaseError> {
            match (self.answer)(self.calls.fetch_add(1, Ordering::Relaxed)) {
                Some(answer) => answer,
                None => pending().await,
            }
        }
        async fn lease(&self, _: &LeaseRequest) -> Result<Lease, LeaseError> {
            Err(LeaseError::Exhausted)
        }
        async fn renew(&self, _: LeaseId, _: Owner, _: Usage) -> Result<(), LeaseError> {
            Ok(())
        }
        async fn give_back(&self, _: LeaseId, _: Owner, _: Usage) -> Result<(), LeaseError> {
            Ok(())
        }
    }

    fn ours() -> IdSpace {
        IdSpace::new([1; 32])
    }

    fn theirs() -> IdSpace {
        IdSpace::new([2; 32])
    }

    fn away() -> LeaseError {
        LeaseError::Unavailable("away".into())
    }

    async fn store() -> (tempfile::TempDir, SqliteStore) {
        let dir = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&dir.path().join("links.db")).await.unwrap();
        (dir, store)
    }

    /// Seen to fail when the first error ended the wait.
    #[tokio::test]
    async fn the_first_start_waits_and_pins() {
        let (_dir, store) = store().await;
        let leases = asked(|n| Some(if n < 2 { Err(away()) } else { Ok(ours()) }));
        assert_eq!(settle(&store, &leases).await.unwrap(), ours());
        assert_eq!(store.id_space().await.unwrap(), Some(ours()));
        store.close().await;
    }

    /// Seen to fail when it waited all the same.
    #[tokio::test]
    async fn a_wrong_secret_ends_the_first_start() {
        let (_dir, store) = store().await;
        let said = settle(&store, &asked(|_| Some(Err(LeaseError::Unauthorized)))).await.unwrap_err().to_string();
        assert!(said.contains("--leases") && said.contains("--token-service-secret"), "{said}");
    }

    /// Seen to fail when a pinned store waited for the lease store.
    #[tokio::test]
    async fn pinned_links_start_without_the_lease_store() {
        let (_dir, store) = store().await;
        store.pin_id_space(&ours()).await.unwrap();
        for answer in [away, || LeaseError::Unauthorized] {
            let leases = asked(move |_| Some(Err(answer())));
            assert_eq!(settle(&store, &leases).await.unwrap(), ours());
            assert_eq!(leases.calls.into_inner(), 1);
        }
    }

    /// Seen to fail when there was no limit.
    #[tokio::test(start_paused = true)]
    async fn a_silent_lease_store_is_not_waited_for() {
        let started = Instant::now();
        assert_eq!(confirm(ours(), &asked(|_| None)).await.unwrap(), ours());
        assert!(started.elapsed() <= ASK_LIMIT + Duration::from_secs(1));
    }

    /// Seen to fail when what the lease store said was not compared.
    #[tokio::test]
    async fn a_mix_of_id_spaces_is_refused() {
        let (_dir, store) = store().await;
        store.pin_id_space(&ours()).await.unwrap();
        for answer in [|| Ok(theirs()), || Err(wrong_id_space())] {
            let said = settle(&store, &asked(move |_| Some(answer()))).await.unwrap_err().to_string();
            let (links, leases) = (ours().fingerprint().to_string(), theirs().fingerprint().to_string());
            assert!(said.contains(&links) && said.contains(&leases) && said.contains("--links"), "{said}");
        }
        assert_eq!(store.id_space().await.unwrap(), Some(ours()));
    }

    fn wrong_id_space() -> LeaseError {
        LeaseError::WrongIdSpace { ours: ours().fingerprint(), theirs: theirs().fingerprint() }
    }
}
