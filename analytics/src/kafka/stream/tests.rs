//! What needs no Kafka.

use rdkafka::message::{Header, OwnedHeaders};
use traces::Traceparent;

use super::*;
use crate::{
    click::{Click, LogId, Place},
    stream::Sequenced,
};

fn sequenced(sequence: u64) -> Sequenced {
    let unknown = || "".into();
    let click = Click {
        log: LogId(1),
        offset: sequence,
        at_ms: 0,
        link: 1,
        visitor: 1,
        bot: false,
        place: Place::default(),
        browser: unknown(),
        os: unknown(),
        device: unknown(),
        referer: unknown(),
    };
    Sequenced { sequence, click }
}

/// Seen to fail when the first part went through to the end of the whole: what was never folded would have been released.
#[test]
fn a_batch_that_is_cut_goes_through_to_its_own_end() {
    let clicks = (1..=5).map(sequenced).collect();
    let whole = Batch { source: Source("t/0".to_owned()), clicks, through: 9, gone: vec![LogId(7)], sent_in: None };
    let (first, rest) = cut(whole.clone(), 3);
    let rest = rest.unwrap();
    assert_eq!((first.clicks.len(), first.through, first.gone.len()), (3, 3, 0));
    assert_eq!((rest.clicks.len(), rest.through, rest.gone), (2, 9, vec![LogId(7)]));
    assert_eq!(cut(whole.clone(), 5), (whole, None));
}

/// Seen to fail when a header that is not sampled was taken for one that is: it would have hidden those of later records.
#[test]
fn what_a_record_was_sent_in_counts_if_it_is_traced() {
    const SAMPLED: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let unsampled = SAMPLED.replace("-01", "-00");
    let sent = |value| {
        let headers = OwnedHeaders::new().insert(Header { key: "another", value: Some("header") });
        poller::sent_in(&headers.insert(Header { key: Traceparent::HEADER, value }))
    };
    assert_eq!(sent(Some(SAMPLED)), Traceparent::parse(SAMPLED));
    for none in [Some(unsampled.as_str()), Some("nonsense"), None] {
        assert_eq!(sent(none), None, "{none:?}");
    }
}
