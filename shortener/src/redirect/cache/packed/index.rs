//! Where the record of a key is: one slot of four bytes for each, by open addressing with linear probing, so that a
//! look takes one cache line before it comes to the record.
//!
//! The index knows no keys. Whoever asks says whether a position is that of the key (which the slot's tag leaves to be
//! asked of one wrong position in 127), and what the hash of a position's key is, where slots must move.

use std::sync::atomic::{AtomicU32, Ordering};

use super::log::Position;

/// Slots of the smallest index that has any; a power of two.
const SLOTS_MIN: usize = 16;
/// How full an index may be before it is made anew with twice the slots.
const FULL: (usize, usize) = (3, 4);

/// A slot: a position, above it a tag of the key's hash, which is never 0, and in the highest bit whether the record
/// was read since it was written. That bit is set by readers, who share the index.
const TAG_BITS: u32 = 7;
const USED: u32 = 1 << (Position::BITS + TAG_BITS);
const POSITION_MASK: u32 = (1 << Position::BITS) - 1;
/// A slot that has no tag is empty.
const EMPTY: u32 = 0;

const _: () = assert!(Position::BITS + TAG_BITS + 1 == u32::BITS);

/// The slot of a record, until the index is changed.
#[derive(Debug, Clone, Copy)]
pub struct Place(usize);

/// See the module.
#[derive(Default)]
pub struct Index {
    /// None, or a power of two.
    slots: Box<[AtomicU32]>,
    taken: usize,
}

impl Index {
    /// Finds the record of a key, by the key's hash.
    pub fn find(&self, hash: u64, is_it: impl Fn(Position) -> bool) -> Option<Place> {
        if self.slots.is_empty() {
            return None;
        }
        let tag = tag(hash);
        let mut place = self.home(hash);
        // Ends, as there is always an empty one.
        loop {
            let slot = self.slots[place].load(Ordering::Relaxed);
            if slot == EMPTY {
                return None;
            }
            if slot & !USED & !POSITION_MASK == tag && is_it(position(slot)) {
                return Some(Place(place));
            }
            place = self.after(place);
        }
    }

    pub fn position(&self, place: Place) -> Position {
        position(self.slots[place.0].load(Ordering::Relaxed))
    }

    pub fn is_used(&self, place: Place) -> bool {
        self.slots[place.0].load(Ordering::Relaxed) & USED != 0
    }

    /// Writes only if it must: a write takes the cache line from every other core that reads the same link.
    pub fn set_used(&self, place: Place) {
        if !self.is_used(place) {
            self.slots[place.0].fetch_or(USED, Ordering::Relaxed);
        }
    }

    pub fn clear_used(&mut self, place: Place) {
        *self.slots[place.0].get_mut() &= !USED;
    }

    /// The record is at another position now.
    pub fn move_to(&mut self, place: Place, position: Position) {
        let slot = self.slots[place.0].get_mut();
        *slot = *slot & !POSITION_MASK | position.bits();
    }

    /// Adds a record that is not there yet, as one that was not read. `hash_of` is asked for every other record when
    /// the index grows.
    pub fn insert(&mut self, hash: u64, position: Position, hash_of: impl Fn(Position) -> u64) {
        if (self.taken + 1) * FULL.1 > self.slots.len() * FULL.0 {
            self.grow(hash_of);
        }
        self.put(hash, tag(hash) | position.bits());
        self.taken += 1;
    }

    /// Takes a record out. `hash_of` is asked for those that stand behind it: they move up, so that a look need not
    /// pass what is no more (Knuth, The Art of Computer Programming, volume 3, section 6.4, algorithm R).
    pub fn remove(&mut self, place: Place, hash_of: impl Fn(Position) -> u64) {
        let mask = self.slots.len() - 1;
        let mut hole = place.0;
        let mut next = self.after(hole);
        loop {
            let slot = *self.slots[next].get_mut();
            if slot == EMPTY {
                break;
            }
            let home = self.home(hash_of(position(slot)));
            // It may not stand before its home.
            if next.wrapping_sub(home) & mask >= next.wrapping_sub(hole) & mask {
                *self.slots[hole].get_mut() = slot;
                hole = next;
            }
            next = self.after(next);
        }
        *self.slots[hole].get_mut() = EMPTY;
        self.taken -= 1;
    }

    pub fn len(&self) -> usize {
        self.taken
    }

    pub fn is_empty(&self) -> bool {
        self.taken == 0
    }

    /// The memory that its slots take.
    pub fn bytes(&self) -> usize {
        size_of_val(&*self.slots)
    }

    fn grow(&mut self, hash_of: impl Fn(Position) -> u64) {
        let slots = (self.slots.len() * 2).max(SLOTS_MIN);
        let old = std::mem::replace(&mut self.slots, (0..slots).map(|_| AtomicU32::new(EMPTY)).collect());
        for slot in old.into_iter().map(AtomicU32::into_inner).filter(|slot| *slot != EMPTY) {
            self.put(hash_of(position(slot)), slot);
        }
    }

    /// Writes a slot where a look will find it.
    fn put(&mut self, hash: u64, slot: u32) {
        let mut place = self.home(hash);
        while *self.slots[place].get_mut() != EMPTY {
            place = self.after(place);
        }
        *self.slots[place].get_mut() = slot;
    }

    /// Where a look for this hash begins.
    fn home(&self, hash: u64) -> usize {
        hash as usize & (self.slots.len() - 1)
    }

    fn after(&self, place: usize) -> usize {
        (place + 1) & (self.slots.len() - 1)
    }
}

#[cfg(test)]
impl Index {
    pub fn places(&self) -> impl Iterator<Item = Place> {
        (0..self.slots.len()).filter(|place| self.slots[*place].load(Ordering::Relaxed) != EMPTY).map(Place)
    }
}

/// The tag of a hash, in its bits of a slot: made of the highest bits, as the lowest ones choose the place.
fn tag(hash: u64) -> u32 {
    ((hash >> (u64::BITS - TAG_BITS)) as u32).max(1) << Position::BITS
}

fn position(slot: u32) -> Position {
    Position::from_bits(slot & POSITION_MASK)
}
