//! The queue of ready codes: lock-free, in the order of ids, at most two blocks of them.
//!
//! Order is what makes handing back exact: of each block, the ids still in the queue are a suffix of it.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use crossbeam_queue::ArrayQueue;
use token_service::BLOCK_IDS;
use tokio::sync::{Notify, futures::Notified};

use super::{Ready, book::CLAIMED_BLOCKS_MAX};

/// Ready codes in the queue at most: those of all claimed blocks.
pub(super) const READY_CODES_MAX: usize = BLOCK_IDS as usize * CLAIMED_BLOCKS_MAX;

/// A ready code, and whether its block is used up with it.
#[derive(Clone, Copy)]
pub(super) struct Entry {
    pub ready: Ready,
    pub last_of_block: bool,
}

/// A code that was taken.
pub(super) struct Taken {
    pub ready: Ready,
    /// It was the last one of its block: another block can be claimed.
    pub was_last_of_block: bool,
}

pub(super) struct ReadyCodes {
    queue: ArrayQueue<Entry>,
    closed: AtomicBool,
    /// Blocks whose last code was taken since this was last asked for. Blocks are used up in the order of their claims, so their
    /// number says which.
    used_up: AtomicU32,
    arrived: Notify,
}

impl ReadyCodes {
    pub(super) fn new() -> Self {
        Self {
            queue: ArrayQueue::new(READY_CODES_MAX),
            closed: AtomicBool::new(false),
            used_up: AtomicU32::new(0),
            arrived: Notify::new(),
        }
    }

    /// The next code, unless there is none or the queue was closed.
    pub(super) fn take(&self) -> Option<Taken> {
        if self.is_closed() {
            return None;
        }
        self.accept(self.queue.pop()?)
    }

    /// A code from the queue is taken if the queue is open still. `take_rest` may have had an earlier one since, and that block is
    /// handed back from there on; if it has, its pop came before ours, and `closed`, set before that, is seen here.
    fn accept(&self, Entry { ready, last_of_block }: Entry) -> Option<Taken> {
        if last_of_block {
            self.count_used_up();
        }
        if self.is_closed() {
            return None;
        }
        Some(Taken { ready, was_last_of_block: last_of_block })
    }

    /// Adds codes, each with an id above all others of its block, and wakes who waits for them. Only one task may do this.
    pub(super) fn put(&self, entries: impl IntoIterator<Item = Entry>) {
        for entry in entries {
            let pushed = self.queue.push(entry);
            assert!(pushed.is_ok(), "there is room for the codes of {CLAIMED_BLOCKS_MAX} claimed blocks");
        }
        self.arrived.notify_waiters();
    }

    /// Another block is used up.
    fn count_used_up(&self) {
        self.used_up.fetch_add(1, Ordering::Release);
    }

    /// How many blocks were used up since the last call.
    pub(super) fn take_used_up(&self) -> u32 {
        self.used_up.swap(0, Ordering::Acquire)
    }

    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }

    /// Resolves when codes were put after this call, or the queue was closed.
    pub(super) fn arrived(&self) -> Notified<'_> {
        self.arrived.notified()
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }

    /// From now on nothing is taken, and who waits is woken.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        self.arrived.notify_waiters();
    }

    /// Empties the closed queue and gives the first id that was in it: it and all later ones stay unused.
    pub(super) fn take_rest(&self) -> Option<u64> {
        debug_assert!(self.is_closed());
        let first = self.queue.pop().map(|entry| entry.ready.id);
        while self.queue.pop().is_some() {}
        first
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::code::Code;

    fn entry(id: u64, last_of_block: bool) -> Entry {
        Entry { ready: Ready { id, code: Code::parse("Abcdefg").unwrap() }, last_of_block }
    }

    /// Seen to fail when `closed` is looked at only before the queue is.
    #[test]
    fn what_was_popped_while_the_queue_was_closed_is_not_taken() {
        let codes = ReadyCodes::new();
        codes.put([entry(1, false), entry(2, false), entry(3, true)]);
        assert_eq!(codes.take().map(|taken| taken.ready.id), Some(1));
        let popped = codes.queue.pop().unwrap();
        codes.close();
        assert!(codes.accept(popped).is_none());
        assert!(codes.take().is_none());
        assert_eq!(codes.take_rest(), Some(3));
        assert_eq!(codes.take_rest(), None);
    }

    #[test]
    fn the_last_code_of_a_block_is_told_and_counted() {
        let codes = ReadyCodes::new();
        codes.put([entry(1, false), entry(2, true), entry(8, true)]);
        let last: Vec<_> = std::iter::from_fn(|| codes.take()).map(|taken| taken.was_last_of_block).collect();
        assert_eq!((last, codes.take_used_up(), codes.take_used_up()), (vec![false, true, true], 2, 0));
    }
}
