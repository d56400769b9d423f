//! One shard: an index of four bytes for each link, into a log of records.
//!
//! Links leave in the order they came, except that one that was read since is written again at the back: FIFO with
//! reinsertion, known as CLOCK, which Yang et al. find to be as good as LRU ("FIFO queues are all you need for cache
//! eviction", SOSP 2023, section 2; "FIFO can be better than LRU", HotOS 2023). So links that are opened once, in any
//! number, do not drive out those that are opened again and again. To give memory up by whole segments, into which
//! small objects are packed, is from Segcache (Yang et al., NSDI 2021).
//!
//! A record that was replaced or removed stays in its segment, dead, until the segment is given up; when more than a
//! [`DEAD_SHARE`]th of the log is dead, the oldest segments are written again without them, few at a time.

use std::hash::BuildHasher;

use foldhash::fast::RandomState;

use super::{
    index::{Index, Place},
    log::{LOG_BYTES_MAX, Log, SEGMENT_BYTES},
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

/// See the module. Hashes are those of the keys' bytes by the shard's own hasher.
pub struct Shard {
    index: Index,
    log: Log,
    hasher: RandomState,
    bytes_max: u64,
}

impl Shard {
    /// An empty shard, that takes at most so many bytes beside its own [`size_of`].
    pub fn new(hasher: RandomState, bytes_max: u64) -> Self {
        Shard { index: Index::default(), log: Log::default(), hasher, bytes_max: bytes_max.min(LOG_BYTES_MAX) }
    }

    /// The record of a key, for whoever opens the link.
    pub fn get(&self, hash: u64, key: &[u8]) -> Option<Record<'_>> {
        let place = self.find(hash, key)?;
        self.index.set_used(place);
        Some(Record::read(self.log.at(self.index.position(place))))
    }

    /// Keeps a record, in place of the one that its key has.
    pub fn insert(&mut self, hash: u64, key: &[u8], record: &[u8]) {
        match self.find(hash, key) {
            Some(place) => self.replace(place, record),
            None => {
                let position = self.log.append(record);
                let Shard { index, log, hasher, .. } = self;
                index.insert(hash, position, |position| hasher.hash_one(Record::key(log.at(position))));
            }
        }
        self.make_room();
        self.clean();
    }

    fn replace(&mut self, place: Place, record: &[u8]) {
        let old = self.index.position(place);
        let old_len = Record::read(self.log.at(old)).len;
        if old_len == record.len() {
            self.log.at_mut(old)[..old_len].copy_from_slice(record);
        } else {
            self.index.move_to(place, self.log.append(record));
            self.log.forget(old_len);
        }
    }

    /// Changes until when a key's record is fresh, if there is one.
    pub fn set_fresh_until(&mut self, hash: u64, key: &[u8], fresh_until_ms: i64) {
        let Some(place) = self.find(hash, key) else { return };
        Record::set_fresh_until(self.log.at_mut(self.index.position(place)), fresh_until_ms);
    }

    pub fn remove(&mut self, hash: u64, key: &[u8]) {
        let Some(place) = self.find(hash, key) else { return };
        let Shard { index, log, hasher, .. } = self;
        let len = Record::read(log.at(index.position(place))).len;
        index.remove(place, |position| hasher.hash_one(Record::key(log.at(position))));
        log.forget(len);
        self.clean();
    }

    /// How many links it holds.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// The memory that it takes beside its own [`size_of`].
    pub fn bytes(&self) -> u64 {
        (self.index.bytes() + self.log.held_bytes()) as u64
    }

    fn find(&self, hash: u64, key: &[u8]) -> Option<Place> {
        self.index.find(hash, |position| Record::key(self.log.at(position)) == key)
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
            let Some(place) = self.index.find(hash, |at| at == position) else { continue };
            self.log.forget(record.len);
            if keep == Keep::All || self.index.is_used(place) {
                self.index.move_to(place, self.log.append(bytes));
                if keep == Keep::Used {
                    self.index.clear_used(place);
                }
            } else {
                let Shard { index, log, hasher, .. } = self;
                // Its neighbours in the index may be its neighbours in the segment.
                index.remove(place, |at| hasher.hash_one(Record::key(segment.at(at).unwrap_or_else(|| log.at(at)))));
            }
        }
    }
}

#[cfg(test)]
impl Shard {
    /// Panics unless every slot leads to a record of its own that is found by its key, and the bytes add up.
    pub fn check(&self) {
        let mut live_bytes = 0;
        assert_eq!(self.index.places().count(), self.index.len());
        for place in self.index.places() {
            let position = self.index.position(place);
            let record = Record::read(self.log.at(position));
            let found = self.find(self.hasher.hash_one(record.key), record.key).expect("it is found by its key");
            assert_eq!(self.index.position(found), position, "of its own");
            live_bytes += record.len;
        }
        assert!(self.bytes() <= self.bytes_max, "{} of {}", self.bytes(), self.bytes_max);
        assert!(live_bytes + self.log.dead_bytes() <= self.log.held_bytes());
        self.log.check(live_bytes);
    }
}
