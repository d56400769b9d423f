//! Clicks on their way: sent, and acknowledged or not.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use parking_lot::Mutex;
use rdkafka::{
    ClientContext, config::RDKafkaLogLevel, error::KafkaError, message::DeliveryResult, producer::ProducerContext,
};
use tokio::sync::Notify;

use super::trace::SentTrace;
use crate::{click::LogId, kafka::client};

/// Batches that are traced until they are acknowledged, at most. Further ones are not traced, until one of these is.
pub(super) const TRACED_MAX: usize = 256;

/// What was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sent {
    Click {
        log: LogId,
        offset: u64,
    },
    /// The last of those that say that a log has ended.
    LogEnded(LogId),
    /// Another one of them.
    LogEndedToo,
}

/// Sent and not all acknowledged, in the order of sending; and how far all of it is.
#[derive(Debug, Default)]
pub(super) struct Window {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// The ticket of the first one in `sent`.
    first: usize,
    sent: VecDeque<(Sent, bool)>,
    /// The highest offset of each log of which everything before it is acknowledged as well.
    acknowledged: BTreeMap<LogId, u64>,
    /// Logs whose end is told everywhere.
    ended: Vec<LogId>,
    failure: Option<KafkaError>,
    /// Batches that are traced, each with the ticket behind its last one.
    traced: VecDeque<(usize, SentTrace)>,
}

impl Window {
    /// Puts something on its way; its ticket.
    pub fn push(&self, sent: Sent) -> usize {
        let mut state = self.state.lock();
        state.sent.push_back((sent, false));
        state.first + state.sent.len() - 1
    }

    /// Takes back the last one: it was not sent.
    pub fn take_back(&self) {
        self.state.lock().sent.pop_back();
    }

    /// Whether one more batch may be traced.
    pub fn has_room_for_trace(&self) -> bool {
        self.state.lock().traced.len() < TRACED_MAX
    }

    /// Traces a batch until everything that was put on its way so far is acknowledged, if it still is on its way, and there is
    /// [room](Self::has_room_for_trace); else it ends here.
    pub fn trace(&self, batch: SentTrace) {
        let mut state = self.state.lock();
        if !state.sent.is_empty() && state.traced.len() < TRACED_MAX {
            let behind = state.first + state.sent.len();
            state.traced.push_back((behind, batch));
        }
    }

    /// How many are on their way.
    pub fn len(&self) -> usize {
        self.state.lock().sent.len()
    }

    /// Whether anything was acknowledged so far.
    pub fn has_acknowledged(&self) -> bool {
        self.state.lock().first > 0
    }

    /// What ended it: nothing behind that will be acknowledged.
    pub fn failure(&self) -> Option<KafkaError> {
        self.state.lock().failure.clone()
    }

    pub fn acknowledged(&self) -> BTreeMap<LogId, u64> {
        self.state.lock().acknowledged.clone()
    }

    /// The logs whose end was told everywhere since the last call. Nothing is kept of them.
    pub fn take_ended(&self) -> Vec<LogId> {
        let mut state = self.state.lock();
        let ended = std::mem::take(&mut state.ended);
        state.acknowledged.retain(|log, _| !ended.contains(log));
        ended
    }

    /// Returns when something was acknowledged, or failed, since this was called last.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    fn settle(&self, ticket: usize, result: Result<(), KafkaError>) {
        // Spans take locks of their own when they end: not under this one.
        let (mut failed, mut done) = (VecDeque::new(), Vec::new());
        let mut state = self.state.lock();
        if let Err(error) = result {
            state.failure.get_or_insert(error);
            failed = std::mem::take(&mut state.traced);
        } else if let Some(place) = ticket.checked_sub(state.first)
            && let Some((_, is_acknowledged)) = state.sent.get_mut(place)
        {
            *is_acknowledged = true;
        }
        while let Some((sent, true)) = state.sent.front().copied() {
            state.sent.pop_front();
            state.first += 1;
            match sent {
                Sent::Click { log, offset } => drop(state.acknowledged.insert(log, offset)),
                Sent::LogEnded(log) => state.ended.push(log),
                Sent::LogEndedToo => {}
            }
        }
        let first = state.first;
        done.extend(std::iter::from_fn(|| state.traced.pop_front_if(|(behind, _)| *behind <= first)));
        drop(state);
        failed.iter().for_each(|(_, batch)| batch.failed());
        drop((failed, done));
        self.changed.notify_one();
    }
}

/// Hears from the producer.
#[derive(Debug, Clone)]
pub(super) struct Hearing(pub Arc<Window>);

impl ClientContext for Hearing {
    fn log(&self, _: RDKafkaLogLevel, facility: &str, line: &str) {
        client::logged(facility, line);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        client::told(&error, reason);
    }
}

impl ProducerContext for Hearing {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, ticket: usize) {
        match result {
            // It may have no offset: of a repetition, the brokers say only that they have it already.
            Ok(_) => self.0.settle(ticket, Ok(())),
            Err((error, _)) => self.0.settle(ticket, Err(error.clone())),
        }
    }
}

#[cfg(test)]
mod tests {
    use traces::testing::Trace;

    use super::*;
    use crate::kafka::forwarder::trace::BatchTrace;

    fn click(log: u64, offset: u64) -> Sent {
        Sent::Click { log: LogId(log), offset }
    }

    /// Seen to fail when each acknowledgement counted by itself.
    #[test]
    fn only_what_has_no_gap_before_it_is_acknowledged() {
        let window = Window::default();
        let tickets = [click(1, 10), click(2, 5), click(1, 20)].map(|sent| window.push(sent));
        window.settle(tickets[2], Ok(()));
        window.settle(tickets[1], Ok(()));
        assert_eq!((window.acknowledged(), window.len()), (BTreeMap::new(), 3));
        window.settle(tickets[0], Ok(()));
        assert_eq!((window.acknowledged(), window.len()), (BTreeMap::from([(LogId(1), 20), (LogId(2), 5)]), 0));
        let ticket = window.push(click(2, 6));
        window.settle(ticket, Ok(()));
        assert_eq!(window.acknowledged()[&LogId(2)], 6);
    }

    /// Seen to fail without the limit, and when a batch that failed had ended well.
    #[test]
    fn so_many_batches_are_traced_and_no_more() {
        let (window, trace) = (Window::default(), Trace::begin());
        let ticket = window.push(click(1, 10));
        let sent = || BatchTrace::of(trace.span()).sent().unwrap();
        for traced in 0..TRACED_MAX {
            assert!(window.has_room_for_trace(), "{traced}");
            window.trace(sent());
        }
        assert!(!window.has_room_for_trace());
        assert!(trace.failures("acknowledge").is_empty());
        window.trace(sent());
        assert_eq!(trace.failures("acknowledge"), [false], "what has no room ends at once");
        window.settle(ticket, Ok(()));
        assert_eq!(trace.failures("acknowledge"), vec![false; TRACED_MAX + 1]);
        assert!(window.has_room_for_trace());

        let ticket = window.push(click(1, 20));
        window.trace(sent());
        window.settle(ticket, Err(KafkaError::Canceled));
        assert_eq!(trace.failures("acknowledge").pop(), Some(true));
    }

    #[test]
    fn what_failed_is_never_acknowledged() {
        let window = Window::default();
        let tickets = [click(1, 10), click(1, 20)].map(|sent| window.push(sent));
        window.settle(tickets[0], Err(KafkaError::Canceled));
        window.settle(tickets[1], Ok(()));
        assert_eq!(window.acknowledged(), BTreeMap::new());
        assert!(window.failure().is_some());
    }
}
