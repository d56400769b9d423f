//! The cache against a store that can be held up, broken and changed.

use traces::testing::Trace;

use super::*;
use crate::{
    key::Alias,
    redirect::{
        moody_store::{Mood, MoodyStore},
        target::Outcome,
    },
};

const NOW_MS: i64 = 1_000_000;
const FIRST: &str = "https://example.com/first";
const SECOND: &str = "https://example.com/second";

fn setup(settings: CacheSettings) -> (Arc<MoodyStore>, Arc<Cache>) {
    let store = Arc::new(MoodyStore::new(FIRST));
    let cache = Cache::new(store.clone(), settings, Handle::current());
    (store, cache)
}

fn key(text: &str) -> Key {
    Key::Alias(Alias::parse(text).unwrap())
}

fn url(loaded: &Loaded) -> Option<String> {
    let target = loaded.as_ref().expect("an answer").as_ref()?;
    let Outcome::Redirect { location, .. } = target.at(0) else { panic!("it does not expire") };
    Some(String::from_utf8(location.to_vec()).unwrap())
}

fn reads(store: &MoodyStore) -> usize {
    store.reads.load(Ordering::SeqCst)
}

/// Waits until the store has been read so often.
async fn read_begun(store: &MoodyStore, count: usize) {
    while reads(store) < count {
        tokio::task::yield_now().await;
    }
}

/// Seen to fail when `load` did not look for a read under way.
#[tokio::test]
async fn ten_thousand_who_wait_for_a_key_cause_one_read() {
    let (store, cache) = setup(CacheSettings::default());
    store.mood.send_replace(Mood::Waits);
    let waiting: Vec<_> = (0..10_000)
        .map(|_| {
            let cache = Arc::clone(&cache);
            tokio::spawn(async move { cache.resolve(&key("hot"), NOW_MS).await })
        })
        .collect();
    read_begun(&store, 1).await;
    store.mood.send_replace(Mood::Answers);
    for waiting in waiting {
        assert_eq!(url(&waiting.await.unwrap()).as_deref(), Some(FIRST));
    }
    assert_eq!(reads(&store), 1);
    assert!(cache.fresh(&key("hot"), NOW_MS).is_some());
}

/// Seen to fail when a read ended with the request that began it, and when it went on only while somebody waited.
#[tokio::test]
async fn a_read_outlives_whoever_began_it() {
    let (store, cache) = setup(CacheSettings::default());
    store.mood.send_replace(Mood::Waits);
    let first = tokio::spawn({
        let cache = Arc::clone(&cache);
        async move { cache.resolve(&key("a"), NOW_MS).await }
    });
    read_begun(&store, 1).await;
    first.abort();
    assert!(first.await.is_err_and(|error| error.is_cancelled()));
    store.mood.send_replace(Mood::Answers);
    // Nobody waits for it any more.
    let landed = async {
        while cache.fresh(&key("a"), NOW_MS).is_none() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), landed).await.expect("the read ends");
    assert_eq!(url(&cache.resolve(&key("a"), NOW_MS).await).as_deref(), Some(FIRST));
    assert_eq!(reads(&store), 1);
}

/// Seen to fail when a stale link was not served, when a failure was taken for an absence, and when the store was asked
/// each time, as it is when a stale link is not believed a little longer.
#[tokio::test]
async fn while_the_store_fails_what_is_cached_is_served_past_its_time() {
    let (store, cache) = setup(CacheSettings::default());
    cache.resolve(&key("known"), NOW_MS).await.unwrap();
    store.mood.send_replace(Mood::Fails);
    let later_ms = NOW_MS + millis(CacheSettings::default().ttl);
    assert!(cache.fresh(&key("known"), later_ms).is_none());
    assert_eq!(url(&cache.resolve(&key("known"), later_ms).await).as_deref(), Some(FIRST));
    assert!(matches!(cache.resolve(&key("unknown"), later_ms).await, Err(ResolveError::Store(_))));
    // It is asked again after a while, not for every request.
    let before = reads(&store);
    assert!(cache.fresh(&key("known"), later_ms + millis(STALE_RETRY) - 1).is_some());
    assert_eq!(url(&cache.resolve(&key("known"), later_ms + 1).await).as_deref(), Some(FIRST));
    assert_eq!(reads(&store), before);
    store.mood.send_replace(Mood::Answers);
    *store.url.lock() = Some(SECOND);
    let recovered_ms = later_ms + millis(STALE_RETRY);
    assert_eq!(url(&cache.resolve(&key("known"), recovered_ms).await).as_deref(), Some(SECOND));
    assert_eq!(url(&cache.resolve(&key("unknown"), recovered_ms).await).as_deref(), Some(SECOND));
}

/// Seen to fail when a stale link was served only once the read had failed.
#[tokio::test]
async fn a_slow_store_does_not_hold_up_what_is_cached() {
    let (store, cache) = setup(CacheSettings::default());
    cache.resolve(&key("known"), NOW_MS).await.unwrap();
    store.mood.send_replace(Mood::Waits);
    *store.url.lock() = Some(SECOND);
    let later_ms = NOW_MS + millis(CacheSettings::default().ttl);
    assert_eq!(url(&cache.resolve(&key("known"), later_ms).await).as_deref(), Some(FIRST));
    assert!(cache.fresh(&key("known"), later_ms + millis(STALE_RETRY) - 1).is_some(), "the next one does not wait");
    store.mood.send_replace(Mood::Answers);
    let landed = async {
        while url(&Ok(cache.fresh(&key("known"), later_ms))).as_deref() != Some(SECOND) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), landed).await.expect("the read goes on, and ends");
}

/// Seen to fail when `land` did not look whether the link was changed.
#[tokio::test]
async fn a_change_is_seen_by_the_next_request_whatever_is_under_way() {
    let (store, cache) = setup(CacheSettings::default());
    store.mood.send_replace(Mood::Waits);
    let early = tokio::spawn({
        let cache = Arc::clone(&cache);
        async move { cache.resolve(&key("a"), NOW_MS).await }
    });
    read_begun(&store, 1).await;
    *store.url.lock() = Some(SECOND);
    cache.invalidate(&key("a"));
    let late = tokio::spawn({
        let cache = Arc::clone(&cache);
        async move { cache.resolve(&key("a"), NOW_MS).await }
    });
    read_begun(&store, 2).await;
    store.mood.send_replace(Mood::Answers);
    assert_eq!(url(&early.await.unwrap()).as_deref(), Some(FIRST), "it began before the change");
    assert_eq!(url(&late.await.unwrap()).as_deref(), Some(SECOND));
    assert_eq!(url(&cache.resolve(&key("a"), NOW_MS).await).as_deref(), Some(SECOND));
}

/// Seen to fail when an invalidated link was kept to be served while the store fails.
#[tokio::test]
async fn what_was_changed_does_not_come_back_stale() {
    let (store, cache) = setup(CacheSettings::default());
    cache.resolve(&key("a"), NOW_MS).await.unwrap();
    store.mood.send_replace(Mood::Fails);
    cache.invalidate(&key("a"));
    assert!(cache.resolve(&key("a"), NOW_MS).await.is_err());
}

/// Seen to fail when absences were not kept, when they were kept for ever, and when they outlived a change.
#[tokio::test]
async fn an_absence_is_believed_for_a_while() {
    let (store, cache) = setup(CacheSettings::default());
    *store.url.lock() = None;
    for _ in 0..100 {
        assert_eq!(url(&cache.resolve(&key("a"), NOW_MS).await), None);
    }
    assert_eq!(reads(&store), 1);
    *store.url.lock() = Some(FIRST);
    let later_ms = NOW_MS + millis(CacheSettings::default().absent_ttl);
    assert_eq!(url(&cache.resolve(&key("a"), later_ms - 1).await), None);
    assert_eq!(url(&cache.resolve(&key("a"), later_ms).await).as_deref(), Some(FIRST));
    *store.url.lock() = None;
    cache.invalidate(&key("a"));
    assert_eq!(url(&cache.resolve(&key("a"), later_ms).await), None);
    *store.url.lock() = Some(FIRST);
    cache.invalidate(&key("a"));
    assert_eq!(url(&cache.resolve(&key("a"), later_ms).await).as_deref(), Some(FIRST), "it was just made");
}

/// Seen to fail when the bytes of links were not limited, and when the number of absences was not.
#[tokio::test]
async fn nothing_grows_without_a_limit() {
    let settings = CacheSettings { max_bytes: 100_000, absent_max: 100, ..CacheSettings::default() };
    let (store, cache) = setup(settings);
    for number in 0..5_000 {
        cache.resolve(&key(&format!("there{number}")), NOW_MS).await.unwrap();
    }
    *store.url.lock() = None;
    for number in 0..5_000 {
        cache.resolve(&key(&format!("absent{number}")), NOW_MS).await.unwrap();
    }
    let size = cache.size();
    assert!(size.bytes <= 100_000 && size.links > 100, "{size:?}");
    assert!((50..=100).contains(&size.absent), "{size:?}");
}

/// Seen to fail without the limit on reads.
#[tokio::test]
async fn reads_under_way_are_limited() {
    let (store, cache) = setup(CacheSettings::default());
    store.mood.send_replace(Mood::Waits);
    let waiting: Vec<_> = (0..LOADS_MAX)
        .map(|number| {
            let cache = Arc::clone(&cache);
            tokio::spawn(async move { cache.resolve(&key(&number.to_string()), NOW_MS).await })
        })
        .collect();
    read_begun(&store, LOADS_MAX).await;
    let refused = cache.resolve(&key("one-more"), NOW_MS).now_or_never().expect("nobody waits to be refused");
    assert!(matches!(refused, Err(ResolveError::Overloaded)));
    store.mood.send_replace(Mood::Answers);
    for waiting in waiting {
        waiting.await.unwrap().unwrap();
    }
    assert!(cache.resolve(&key("one-more"), NOW_MS).await.is_ok());
}

/// Seen to fail when the span ended before it was known whether the read took too long.
#[tokio::test(start_paused = true)]
async fn a_read_that_failed_shows_as_such_in_traces() {
    for (mood, failures) in [(Mood::Answers, [false]), (Mood::Fails, [true]), (Mood::Waits, [true])] {
        let (store, cache) = setup(CacheSettings::default());
        store.mood.send_replace(mood);
        let trace = Trace::begin();
        let loaded = trace.span().around(cache.resolve(&key("any"), NOW_MS)).await;
        assert_eq!(loaded.is_err(), failures[0], "{mood:?}");
        assert_eq!(trace.failures("look up the link"), failures, "{mood:?}");
    }
}
