//! The breaker around calls that answer, fail, hang or are given up.

use std::future::{pending, ready};

use futures::FutureExt;
use metrics_exporter_prometheus::PrometheusBuilder;
use tokio::time::{advance, sleep};

use super::*;

fn breaker() -> Breaker {
    Breaker::new(&BreakerSettings::default(), &TimeoutSettings::default())
}

fn answer() -> impl Future<Output = Result<(), StoreError>> + Send {
    ready(Ok(()))
}

async fn after(ms: u64) -> Result<(), StoreError> {
    sleep(Duration::from_millis(ms)).await;
    Ok(())
}

fn unavailable() -> StoreError {
    StoreError::Unavailable("broken".into())
}

/// Calls that fail, until one is not carried out any more; how many were.
async fn fail(breaker: &Breaker, call: Call, error: fn() -> StoreError) -> usize {
    let mut carried_out = 0;
    for _ in 0..1_000 {
        let before = carried_out;
        let work = async {
            carried_out += 1;
            Err::<(), _>(error())
        };
        breaker.around(call, work).await.unwrap_err();
        if carried_out == before {
            break;
        }
    }
    carried_out
}

fn is_open(breaker: &Breaker, call: Call) -> bool {
    breaker.switch(call.kind()).unwrap().inner.lock().circuit.state() == State::Open
}

/// Seen to fail when a refused call was carried out all the same, when an overload of the store's was no failure, and when
/// something unreadable was one.
#[tokio::test(start_paused = true)]
async fn it_opens_on_failures_of_the_store_alone() {
    assert_eq!(fail(&breaker(), Call::ByKey, unavailable).await, 20);
    assert_eq!(fail(&breaker(), Call::ByKey, || StoreError::Overloaded).await, 20);
    assert_eq!(fail(&breaker(), Call::ByKey, || StoreError::Unreadable("damaged".into())).await, 1_000);
    let breaker = breaker();
    fail(&breaker, Call::ByKey, unavailable).await;
    let refused = breaker.around(Call::ByKey, answer()).await;
    assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
}

/// Seen to fail when only errors were bad, and when what is slow did not follow from the deadline of its kind.
#[tokio::test(start_paused = true)]
async fn it_opens_on_slowness() {
    for (call, ms, opens) in
        [(Call::ByKey, 449, false), (Call::ByKey, 450, true), (Call::List, 450, false), (Call::List, 5_000, true)]
    {
        let breaker = breaker();
        let calls = (0..20).map(|_| breaker.around(call, after(ms)));
        futures::future::try_join_all(calls).await.unwrap();
        assert_eq!(is_open(&breaker, call), opens, "{call:?} after {ms} ms");
    }
}

/// Seen to fail with one circuit for all.
#[tokio::test(start_paused = true)]
async fn kinds_fail_apart_and_claims_always_pass() {
    let breaker = breaker();
    fail(&breaker, Call::Create, unavailable).await;
    assert!(breaker.around(Call::Replace, answer()).await.is_err(), "both are writes");
    for call in [Call::ByKey, Call::ById, Call::ApiKey, Call::Count, Call::Claim] {
        assert!(breaker.around(call, answer()).await.is_ok(), "{call:?}");
    }
    assert_eq!(fail(&breaker, Call::Claim, unavailable).await, 1_000);
}

/// Seen to fail when the pause was 20 s, and when a slow probe was a good one.
#[tokio::test(start_paused = true)]
async fn it_recovers_by_itself_and_soon() {
    let breaker = breaker();
    fail(&breaker, Call::Create, unavailable).await;
    // A long outage, in which each second brings a call, and at last an answer that is late.
    for _ in 0..600 {
        advance(Duration::from_secs(1)).await;
        breaker.around(Call::Create, async { Err::<(), _>(unavailable()) }).await.unwrap_err();
    }
    advance(Duration::from_secs(2)).await;
    breaker.around(Call::Create, after(899)).await.unwrap();
    assert!(is_open(&breaker, Call::Create));
    // It is over.
    let over = Instant::now();
    while breaker.around(Call::Create, answer()).await.is_err() {
        advance(Duration::from_millis(10)).await;
    }
    assert!(over.elapsed() <= Duration::from_millis(2_010), "{:?}", over.elapsed());
    for _ in 0..1_000 {
        breaker.around(Call::Create, answer()).await.unwrap();
    }
}

/// Seen to fail when a call that was given up counted as a failure, and when a probe that was given up kept its place.
#[tokio::test(start_paused = true)]
async fn whoever_goes_away_leaves_nothing_behind() {
    let breaker = breaker();
    let give_up = || assert!(breaker.around(Call::ByKey, pending::<Result<(), _>>()).now_or_never().is_none());
    (0..100).for_each(|_| give_up());
    breaker.around(Call::ByKey, answer()).await.unwrap();
    for _ in 0..3 {
        fail(&breaker, Call::ByKey, unavailable).await;
        advance(Duration::from_secs(2)).await;
        (0..100).for_each(|_| give_up());
        for _ in 0..3 {
            breaker.around(Call::ByKey, answer()).await.unwrap();
        }
    }
}

/// Seen to fail when the state that was left stayed 1, and when what was refused was not counted.
#[tokio::test(start_paused = true)]
async fn the_metrics_show_its_state() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let shown = recorder.handle();
    let _recorded = ::metrics::set_default_local_recorder(&recorder);
    let shows = |state: &str, changes: [u64; 3]| {
        let text = shown.render();
        let has = |line: String| assert!(text.lines().any(|shown| shown == line), "{line} is not in\n{text}");
        for (name, changes) in ["closed", "open", "half_open"].into_iter().zip(changes) {
            let is = u8::from(name == state);
            has(format!("septet_store_circuit_state{{kind=\"write\",state=\"{name}\"}} {is}"));
            has(format!("septet_store_circuit_changes_total{{kind=\"write\",to=\"{name}\"}} {changes}"));
        }
        text
    };
    let breaker = breaker();
    shows("closed", [0, 0, 0]);
    fail(&breaker, Call::Create, unavailable).await;
    let text = shows("open", [0, 1, 0]);
    assert!(text.contains("septet_store_circuit_refused_total{kind=\"write\"} 1"), "{text}");
    assert!(text.contains("septet_store_circuit_refused_total{kind=\"look_up\"} 0"), "{text}");
    advance(Duration::from_secs(2)).await;
    breaker.around(Call::Create, answer()).await.unwrap();
    shows("half_open", [0, 1, 1]);
    for _ in 0..2 {
        breaker.around(Call::Create, answer()).await.unwrap();
    }
    shows("closed", [1, 1, 1]);
}
