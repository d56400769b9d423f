//! The cache of a redirect: what links lead to, and which keys lead nowhere.
//!
//! - One read of the store per key, however many wait for it.
//! - A link is believed for [`CacheSettings::ttl`], an absence for [`CacheSettings::absent_ttl`]; both are bounded in
//!   size, and what does not fit is read again. Whoever tries one key after the other pushes out nobody's absences but his own: `quick_cache`
//!   keeps what was asked for twice apart from what was asked for once.
//! - While the store does not answer, what is cached is served past its time.
//! - A change made here is seen by the next request: a read that was under way when the change was made is not kept.
//!
//! Links are kept in [`packed`], which is our own: an instance's memory is mostly this, and no crate we know comes near
//! the bytes of the URLs. With `quick_cache`, which keeps the absences, a link took 131 bytes beside its URL: an entry
//! in a table, and an allocation of its own with its counts. `moka`, `mini-moka` and `foyer` allocate for each link as
//! well. `segcache` packs as we do, but takes all its memory at the start, has one owner even for reads, and drops what
//! is past its time, which must be served here while the store fails.

mod flights;
mod hearing;
mod packed;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures::FutureExt;
use quick_cache::sync;
use tokio::{runtime::Handle, sync::Semaphore, task::JoinHandle, time::timeout};
use traces::Kind;

use self::{
    flights::{Flight, Flights},
    hearing::Hearing,
    packed::PackedLinks,
};
use super::target::Target;
use crate::{
    key::{Domain, Key},
    metrics,
    store::{Links, StoreError},
};

/// Reads of the store that may be under way at once; one more is refused, and answered 503.
const LOADS_MAX: usize = 1024;
/// How long a read may take before it is a failure.
const LOAD_TIMEOUT: Duration = Duration::from_secs(2);
/// A link that was cached is served stale rather than waiting for the store longer than this; the read goes on.
const STALE_AFTER: Duration = Duration::from_millis(100);
/// While the store does not answer, a stale link is believed this long before the store is asked again.
const STALE_RETRY: Duration = Duration::from_secs(1);

/// How much is kept, and for how long.
#[derive(Debug, Clone)]
pub struct CacheSettings {
    /// The most memory that cached links may take, in bytes: their records, what is empty or dead between them, and the
    /// tables that find them.
    pub max_bytes: u64,
    pub ttl: Duration,
    /// The most keys of which it is remembered that they lead nowhere.
    pub absent_max: usize,
    pub absent_ttl: Duration,
    /// Whether somebody is to tell ([`Cache::heard_all_until`]) that changes made by others are heard. While that is not said, nothing is
    /// believed for longer than two seconds.
    pub hears_others: bool,
}

impl CacheSettings {
    /// An absence is believed no longer than a link.
    pub fn new(max_bytes: u64, ttl: Duration, hears_others: bool) -> Self {
        let others = CacheSettings::default();
        CacheSettings { max_bytes, ttl, absent_ttl: others.absent_ttl.min(ttl), hears_others, ..others }
    }
}

impl Default for CacheSettings {
    fn default() -> Self {
        CacheSettings {
            max_bytes: 256 << 20,
            ttl: Duration::from_secs(60),
            absent_max: 100_000,
            absent_ttl: Duration::from_secs(5),
            hears_others: false,
        }
    }
}

/// Why a key could not be resolved. Never means that there is no such link.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ResolveError {
    #[error(transparent)]
    Store(#[from] Arc<StoreError>),
    #[error("{LOADS_MAX} reads of the link store are under way already")]
    Overloaded,
    #[error("the read of the link store ended without an answer")]
    Ended,
}

type Loaded = Result<Option<Target>, ResolveError>;

/// How full a cache is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    pub links: usize,
    /// What the links take; see [`CacheSettings::max_bytes`].
    pub bytes: u64,
    pub bytes_max: u64,
    pub absent: usize,
    pub absent_max: usize,
}

/// See the module.
pub struct Cache {
    links: Arc<dyn Links>,
    settings: CacheSettings,
    found: PackedLinks,
    absent: sync::Cache<Key, i64>,
    hearing: Option<Hearing>,
    flights: Flights,
    loads: Arc<Semaphore>,
    runtime: Handle,
}

impl Cache {
    /// A cache over a store. Reads run on `runtime`, so that they outlive the request that began them.
    pub fn new(links: Arc<dyn Links>, settings: CacheSettings, runtime: Handle) -> Arc<Self> {
        Arc::new(Cache {
            links,
            found: PackedLinks::new(settings.max_bytes),
            absent: sync::Cache::new(settings.absent_max),
            hearing: settings.hears_others.then(Hearing::new),
            settings,
            flights: Flights::new(),
            loads: Arc::new(Semaphore::new(LOADS_MAX)),
            runtime,
        })
    }

    /// What is cached and fresh at `uptime_ms` ([`clock::uptime_ms`](crate::clock::uptime_ms)): never waits, never
    /// reads the store.
    pub fn fresh(&self, key: &Key, uptime_ms: i64) -> Option<Target> {
        self.found.fresh(key, self.doubted_at_ms(uptime_ms, self.settings.ttl))
    }

    /// Where a key leads at the moment, asking the store if need be. `None`: nowhere.
    pub async fn resolve(self: &Arc<Self>, key: &Key, uptime_ms: i64) -> Loaded {
        if let Some(target) = self.fresh(key, uptime_ms) {
            return Ok(Some(target));
        }
        let doubted_at_ms = self.doubted_at_ms(uptime_ms, self.settings.absent_ttl);
        if self.absent.get(key).is_some_and(|fresh_until_ms| doubted_at_ms < fresh_until_ms) {
            return Ok(None);
        }
        let loading = self.load(key, uptime_ms);
        if self.found.stale(key).is_none() {
            return loading.await;
        }
        match timeout(STALE_AFTER, loading.clone()).await {
            Ok(Ok(found)) => return Ok(found),
            Ok(Err(_)) => {}
            // Until the read ends, which goes on, what is cached is believed a little longer.
            Err(_) => self.believe_stale(key, uptime_ms),
        }
        match self.found.stale(key) {
            Some(stale) => {
                metrics::redirect_stale();
                Ok(Some(stale))
            }
            // It was changed meanwhile.
            None => loading.await,
        }
    }

    /// Forgets what is known of a key: it was changed.
    pub fn invalidate(&self, key: &Key) {
        let mut flights = self.flights.around(key);
        if let Some(flight) = flights.remove(key) {
            flight.superseded.store(true, Ordering::Relaxed);
        }
        self.found.remove(key);
        self.absent.remove(key);
    }

    /// How long a link is believed while changes are heard.
    pub fn ttl(&self) -> Duration {
        self.settings.ttl
    }

    /// Every change that others told of before then, by the uptime, has been [heard](Self::invalidate).
    pub fn heard_all_until(&self, uptime_ms: i64) {
        self.hearing.iter().for_each(|hearing| hearing.heard_all_until(uptime_ms));
    }

    /// What was read before then, by the uptime, may have been changed by others without a word.
    pub fn distrust_before(&self, uptime_ms: i64) {
        self.hearing.iter().for_each(|hearing| hearing.distrust_before(uptime_ms));
    }

    /// Whether changes that others make are heard; `None` if that is not to be expected.
    pub fn is_heard(&self, uptime_ms: i64) -> Option<bool> {
        self.hearing.as_ref().map(|hearing| hearing.is_heard(uptime_ms))
    }

    /// When something must still be fresh to be believed now.
    fn doubted_at_ms(&self, uptime_ms: i64, ttl: Duration) -> i64 {
        self.hearing.as_ref().map_or(uptime_ms, |hearing| hearing.doubted_at_ms(uptime_ms, ttl))
    }

    /// Believes what is cached a little longer.
    fn believe_stale(&self, key: &Key, uptime_ms: i64) {
        let until_ms = self.doubted_at_ms(uptime_ms, self.settings.ttl).saturating_add(millis(STALE_RETRY));
        self.found.set_fresh_until(key, until_ms);
    }

    /// How full the cache is.
    pub fn size(&self) -> Size {
        let (links, bytes) = self.found.size();
        Size {
            links,
            bytes,
            bytes_max: self.settings.max_bytes,
            absent: self.absent.len(),
            absent_max: self.settings.absent_max,
        }
    }

    /// Joins the read of this key that is under way, or begins one.
    fn load(self: &Arc<Self>, key: &Key, uptime_ms: i64) -> impl Future<Output = Loaded> + Clone + use<> {
        let mut flights = self.flights.around(key);
        if let Some(flight) = flights.get(key) {
            return flight.loaded.clone();
        }
        let Ok(permit) = Arc::clone(&self.loads).try_acquire_owned() else {
            metrics::redirect_overloaded();
            return std::future::ready(Err(ResolveError::Overloaded)).boxed().shared();
        };
        let superseded = Arc::new(AtomicBool::new(false));
        // Of those who wait for one read, it shows in the trace of the first.
        let span = traces::child(Kind::CLIENT, "look up the link");
        let task: JoinHandle<Loaded> = self.runtime.spawn({
            let (cache, key, superseded) = (Arc::clone(self), key.clone(), Arc::clone(&superseded));
            async move {
                metrics::redirect_load();
                let read = timeout(LOAD_TIMEOUT, cache.links.by_key(&Domain::default(), &key)).await;
                let read = read.unwrap_or_else(|_| Err(StoreError::Unavailable("it took too long".into())));
                let read = span.outcome(read);
                let loaded = read.map(|link| link.as_ref().map(Target::of)).map_err(|error| Arc::new(error).into());
                cache.land(&key, &loaded, &superseded, uptime_ms);
                drop(permit);
                loaded
            }
        });
        let ended_badly = {
            let (cache, key) = (Arc::clone(self), key.clone());
            move |_| {
                cache.flights.around(&key).remove(&key);
                Err(ResolveError::Ended)
            }
        };
        let loaded = task.map(|ended| ended.unwrap_or_else(ended_badly)).boxed().shared();
        flights.insert(key.clone(), Flight { loaded: loaded.clone(), superseded });
        loaded
    }

    /// Ends a read: keeps what it found, unless the link was changed since it began.
    fn land(&self, key: &Key, loaded: &Loaded, superseded: &AtomicBool, uptime_ms: i64) {
        let mut flights = self.flights.around(key);
        // Changes are made under the same lock.
        if superseded.load(Ordering::Relaxed) {
            return;
        }
        flights.remove(key);
        match loaded {
            Ok(Some(target)) => {
                let fresh_until_ms = uptime_ms.saturating_add(millis(self.settings.ttl));
                self.found.insert(key, target, fresh_until_ms);
                self.absent.remove(key);
            }
            Ok(None) => {
                self.found.remove(key);
                self.absent.insert(key.clone(), uptime_ms.saturating_add(millis(self.settings.absent_ttl)));
            }
            // While the store does not answer, what is cached is believed a little longer.
            Err(_) => self.believe_stale(key, uptime_ms),
        }
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
