//! One shard: an index of four bytes for each link, into a log of records.
//!
//! Links leave in the order they came, except that one that was read since is written again at the back: FIFO with
//! reinsertion, known as CLOCK, which Yang et al. find to be as good as LRU ("FIFO queues are all you need for cache
//! eviction", SOSP 2023, section 2; "FIFO can be better than LRU", HotOS 2023). So links that are opened once, in any number, do not
//! drive out those that are opened again and again. To give memory up by whole segments, into which small objects are packed, is from
//! Segcache (Yang et al., NSDI 2021).
//!
//! A record that was replaced or removed stays in its segment, dead, until the segment is given up; when more than a
//! [`DEAD_SHARE`]th of the log is dead, the oldest segments are written again without them, few at a time.

use std::{
    hash::BuildHasher,
    sync::atomic::{AtomicU32, Ordering},
};

use hashbrown::{DefaultHashBuilder, HashTable};

use super::{
    log::{LOG_BYTES_MAX, Log, Position, SEGMENT_BYTES},
    record::Record,
};

/// The part of a log that may be dead: one in so many bytes.
const DEAD_SHARE: usize = 4;
/// Segments that one change writes again for the dead in them.
const CLEANED_AT_ONCE: usize = 2;

/// What becomes of a live record whose segment is given up.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Keep {
    All,
    Used,
}

/// Where a record is, and in the highest bit whether it was read since it was written. The bit is set by readers, who
/// share the shard's lock.
struct Slot(AtomicU32);

const USED: u32 = 1 << Position::BITS;

impl Slot {
    fn new(position: Position) -> Self {
        Slot(AtomicU32::new(position.bits()))
    }

    fn position(&self) -> Position {
        Position::from_bits(self.0.load(Ordering::Relaxed) & !USED)
    }

    fn is_used(&self) -> bool {
        self.0.load(Ordering::Relaxed) & USED != 0
    }

    /// Writes only if it must: a write takes the cache line from every other core that reads the same link.
    fn set_used(&self) {
        if !self.is_used() {
            self.0.fetch_or(USED, Ordering::Relaxed);
        }
    }

    /// The record is at another place now.
    fn move_to(&mut self, position: Position) {
        let bits = self.0.get_mut();
        *bits = *bits & USED | position.bits();
    }

    fn clear_used(&mut self) {
        *self.0.get_mut() &= !USED;
    }
}

/// See the module. Hashes are those of the keys' bytes by the shard's own hasher.
pub struct Shard {
    index: HashTable<Slot>,
    log: Log,
    hasher: DefaultHashBuilder,
    bytes_max: u64,
}

impl Shard {
    /// An empty shard, that takes at most so many bytes beside its own [`size_of`].
    pub fn new(hasher: DefaultHashBuilder, bytes_max: u64) -> Self {
        Shard { index: HashTable::new(), log: Log::default(), hasher, bytes_max: bytes_max.min(LOG_BYTES_MAX) }
    }

    /// The record of a key, for whoever opens the link.
    pub fn get(&self, hash: u64, key: &[u8]) -> Option<Record<'_>> {
        let slot = self.slot(hash, key)?;
        slot.set_used();
        Some(Record::read(self.log.at(slot.position())))
    }

    /// Keeps a record, in place of the one that its key has.
    pub fn insert(&mut self, hash: u64, key: &[u8], record: &[u8]) {
        let Shard { index, log, hasher, .. } = self;
        let held = index.find_mut(hash, |slot| Record::key(log.at(slot.position())) == key);
        match held {
            Some(slot) => {
                let old_len = Record::read(log.at(slot.position())).len;
                if old_len == record.len() {
                    log.at_mut(slot.position())[..old_len].copy_from_slice(record);
                } else {
                    slot.move_to(log.append(record));
                    log.forget(old_len);
                }
            }
            None => {
                let slot = Slot::new(log.append(record));
                let hash_of = |slot: &Slot| hasher.hash_one(Record::key(log.at(slot.position())));
                index.insert_unique(hash, slot, hash_of);
            }
        }
        self.make_room();
        self.clean();
    }

    /// Changes until when a key's record is fresh, if there is one.
    pub fn set_fresh_until(&mut self, hash: u64, key: &[u8], fresh_until_ms: i64) {
        let Some(position) = self.slot(hash, key).map(Slot::position) else { return };
        Record::set_fresh_until(self.log.at_mut(position), fresh_until_ms);
    }

    pub fn remove(&mut self, hash: u64, key: &[u8]) {
        let Shard { index, log, .. } = self;
        let Ok(entry) = index.find_entry(hash, |slot| Record::key(log.at(slot.position())) == key) else { return };
        let (slot, _) = entry.remove();
        let len = Record::read(log.at(slot.position())).len;
        log.forget(len);
        self.clean();
    }

    /// How many links it holds.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// The memory that it takes beside its own [`size_of`].
    pub fn bytes(&self) -> u64 {
        (self.index.allocation_size() + self.log.held_bytes()) as u64
    }

    fn slot(&self, hash: u64, key: &[u8]) -> Option<&Slot> {
        self.index.find(hash, |slot| Record::key(self.log.at(slot.position())) == key)
    }

    /// Gives segments up until the rest fits. Ends: nothing is used any more once it was written again.
    fn make_room(&mut self) {
        while self.bytes() > self.bytes_max && !self.log.is_empty() {
            self.give_up(Keep::Used);
        }
    }

    /// Writes the oldest segments again if too much is dead.
    fn clean(&mut self) {
        if self.index.is_empty() {
            (self.index, self.log) = Default::default();
        }
        for _ in 0..CLEANED_AT_ONCE {
            let dead_bytes = self.log.dead_bytes();
            if dead_bytes <= SEGMENT_BYTES || dead_bytes <= self.log.held_bytes() / DEAD_SHARE {
                return;
            }
            self.give_up(Keep::All);
        }
    }

    /// Gives the oldest segment up, but for those of its live records that are kept, which are written again.
    fn give_up(&mut self, keep: Keep) {
        let Some(segment) = self.log.give_up() else { return };
        for (offset, record) in Record::all(&segment.bytes) {
            let bytes = &segment.bytes[offset..offset + record.len];
            let position = segment.position(offset);
            let hash = self.hasher.hash_one(record.key);
            let Ok(mut entry) = self.index.find_entry(hash, |slot| slot.position() == position) else { continue };
            self.log.forget(record.len);
            if keep == Keep::All || entry.get().is_used() {
                let slot = entry.get_mut();
                slot.move_to(self.log.append(bytes));
                if keep == Keep::Used {
                    slot.clear_used();
                }
            } else {
                entry.remove();
            }
        }
    }
}

#[cfg(test)]
impl Shard {
    /// Panics unless every slot leads to a record of its own that is found by its key, and the bytes add up.
    pub fn check(&self) {
        let mut live_bytes = 0;
        for slot in &self.index {
            let record = Record::read(self.log.at(slot.position()));
            let found = self.slot(self.hasher.hash_one(record.key), record.key).expect("it is found by its key");
            assert_eq!(found.position(), slot.position(), "of its own");
            live_bytes += record.len;
        }
        assert!(self.bytes() <= self.bytes_max, "{} of {}", self.bytes(), self.bytes_max);
        assert!(live_bytes + self.log.dead_bytes() <= self.log.held_bytes());
        self.log.check(live_bytes);
    }
}
