//! Of several migrations of a keyspace, one works: who holds the one row of `schema_lock`, which a lightweight transaction gives.
//!
//! The row ends by itself if its holder does: it lives for [`LOCK_TTL`], and is renewed before each statement, which cannot take as long. A
//! holder that was stopped for longer finds so when it renews, and does nothing more.

use std::time::Duration;

use rand::random_range;
use sha2::{Digest, Sha256};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::patience::patiently;
use crate::cql::{Conditional, Cql, CqlError, Kind, SchemaError, Statement};

/// How long a lock is held from its last renewal. Longer than a statement, and the wait for the nodes to agree on it, may take.
const LOCK_TTL: Duration = Duration::from_secs(60);

/// How long a migration waits for another one: long enough that one which was killed does not stop it.
const LOCK_WAIT: Duration = Duration::from_secs(120);

/// How often the lock is tried: between half of it and all of it, so that of many who wait they do not all come at once.
const LOCK_PAUSE: Duration = Duration::from_millis(500);

/// How often somebody who waits is told so.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(5);

const COLUMNS: &str = "(only tinyint PRIMARY KEY, holder uuid)";

/// The lock, held until it is released, or its holder ends.
pub struct Lock<'a> {
    cql: &'a Cql,
    holder: Uuid,
    take: Statement,
    renew: Statement,
    release: Statement,
}

impl<'a> Lock<'a> {
    pub async fn take(cql: &'a Cql, is_scylla: bool) -> Result<Self, SchemaError> {
        let table = table(cql.keyspace(), is_scylla);
        patiently(|| cql.define(&table)).await?;
        let ttl = LOCK_TTL.as_secs();
        let take = format!("INSERT INTO schema_lock (only, holder) VALUES (1, ?) IF NOT EXISTS USING TTL {ttl}");
        let renew = format!("UPDATE schema_lock USING TTL {ttl} SET holder = ? WHERE only = 1 IF holder = ?");
        let release = "DELETE FROM schema_lock WHERE only = 1 IF holder = ?";
        let lock = Lock {
            cql,
            holder: Uuid::new_v4(),
            take: cql.prepare(Kind::Conditional, &take).await?,
            renew: cql.prepare(Kind::Conditional, &renew).await?,
            release: cql.prepare(Kind::Conditional, release).await?,
        };
        lock.wait().await?;
        Ok(lock)
    }

    async fn wait(&self) -> Result<(), SchemaError> {
        let began = Instant::now();
        let mut told = began;
        while !self.try_take().await? {
            let waited_s = began.elapsed().as_secs();
            let keyspace = self.cql.keyspace();
            if began.elapsed() > LOCK_WAIT {
                return Err(SchemaError::Busy { keyspace: keyspace.to_owned(), waited_s });
            }
            if told.elapsed() >= PROGRESS_INTERVAL {
                told = Instant::now();
                tracing::info!(keyspace, waited_s, "waiting for another migration to end");
            }
            sleep(LOCK_PAUSE.mul_f64(random_range(0.5..1.0))).await;
        }
        Ok(())
    }

    /// What gets no answer is tried again: if it was carried out, it is refused for our own sake then.
    async fn try_take(&self) -> Result<bool, CqlError> {
        match self.cql.conditional(&self.take, (self.holder,)).await {
            Ok(Conditional::Applied) => Ok(true),
            Ok(Conditional::Refused(held)) => Ok(held.uuid("holder") == Some(self.holder)),
            Err(error) if error.is_transient() => {
                tracing::debug!(%error, "the lock of migrations gives no answer");
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// Holds on to it for another [`LOCK_TTL`].
    pub async fn renew(&self) -> Result<(), SchemaError> {
        match self.cql.conditional(&self.renew, (self.holder, self.holder)).await? {
            Conditional::Applied => Ok(()),
            Conditional::Refused(_) => Err(SchemaError::LockLost { keyspace: self.cql.keyspace().to_owned() }),
        }
    }

    /// Lets go. Where that gets no answer, the lock ends by itself.
    pub async fn release(self) {
        if let Err(error) = self.cql.conditional(&self.release, (self.holder,)).await {
            let ends_in_s = LOCK_TTL.as_secs();
            tracing::warn!(%error, ends_in_s, "the lock of migrations could not be let go, and will end by itself");
        }
    }
}

/// The lock's own table is made without a lock. On Cassandra an id that depends on nothing but the keyspace's name makes all who
/// make it at once make the same one.
fn table(keyspace: &str, is_scylla: bool) -> String {
    let with = if is_scylla { String::new() } else { format!(" WITH ID = '{}'", id(keyspace)) };
    format!("CREATE TABLE IF NOT EXISTS schema_lock {COLUMNS}{with}")
}

fn id(keyspace: &str) -> Uuid {
    let digest = Sha256::digest(format!("septet schema_lock {keyspace}"));
    let bytes = digest.first_chunk().expect("a SHA-256 has more than 16 bytes");
    uuid::Builder::from_random_bytes(*bytes).into_uuid()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cql::connect::AGREEMENT_TIMEOUT;

    #[test]
    fn a_lock_outlives_a_statement_and_is_waited_for_longer_than_it_lives() {
        assert!(LOCK_TTL > AGREEMENT_TIMEOUT + super::super::STATEMENT_TIMEOUT * 2);
        assert!(LOCK_WAIT > LOCK_TTL);
    }

    #[test]
    fn each_keyspace_has_its_own_lock_and_always_the_same() {
        assert_eq!(table("a", false), table("a", false));
        assert_ne!(id("a"), id("b"));
        assert!(!table("a", true).contains("ID"));
    }
}
