//! Clicks per quarter-hour of a day, people and bots apart. Sparse: most links are clicked in few quarter-hours.

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use crate::query::Bots;

/// Quarter-hours of a day: every time zone's hours and days begin on one.
pub const SLOTS_PER_DAY: u8 = 96;

/// The clicks of one quarter-hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slot {
    /// 0 is the first of the day.
    pub index: u8,
    pub people: u64,
    pub bots: u64,
}

impl Slot {
    /// The clicks that a question about these visitors counts.
    pub fn of(&self, bots: Bots) -> u64 {
        match bots {
            Bots::Exclude => self.people,
            Bots::Include => self.people + self.bots,
            Bots::Only => self.bots,
        }
    }
}

/// The quarter-hours of a day in which there were clicks, in order. Most rows of a day have one: it takes no allocation.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Slots(SmallVec<[Slot; 1]>);

impl Slots {
    /// Counts one click in the quarter-hour `index`.
    pub fn add(&mut self, index: u8, bot: bool) {
        let slot = self.at(index);
        if bot {
            slot.bots += 1;
        } else {
            slot.people += 1;
        }
    }

    /// Counts what `others` have counted.
    pub fn add_all(&mut self, others: &Slots) {
        for other in others.iter() {
            let slot = self.at(other.index);
            slot.people += other.people;
            slot.bots += other.bots;
        }
    }

    /// All of them in the first quarter-hour of the day; none if there are none.
    pub(super) fn daily(&self) -> Slots {
        let mut daily = Slots::default();
        for slot in self.iter() {
            let sum = daily.at(0);
            sum.people += slot.people;
            sum.bots += slot.bots;
        }
        daily
    }

    /// All of them, of people and bots.
    pub fn clicks(&self) -> u64 {
        self.iter().map(|slot| slot.of(Bots::Include)).sum()
    }

    pub fn iter(&self) -> impl Iterator<Item = &Slot> {
        self.0.iter()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// About how many bytes it holds on the heap.
    pub fn heap_bytes(&self) -> usize {
        if self.0.spilled() { self.0.capacity() * size_of::<Slot>() } else { 0 }
    }

    /// About how many bytes its encoding takes.
    pub(super) fn encoded_bytes(&self) -> usize {
        1 + 4 * self.0.len()
    }

    fn at(&mut self, index: u8) -> &mut Slot {
        // Clicks come roughly in the order of time, so it is nearly always the last one.
        let place = match self.0.last() {
            Some(last) if last.index == index => self.0.len() - 1,
            Some(last) if last.index > index => match self.0.binary_search_by_key(&index, |slot| slot.index) {
                Ok(place) => place,
                Err(place) => self.insert(place, index),
            },
            _ => self.insert(self.0.len(), index),
        };
        &mut self.0[place]
    }

    fn insert(&mut self, place: usize, index: u8) -> usize {
        self.0.insert(place, Slot { index, people: 0, bots: 0 });
        place
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        // Seen to fail when `at` takes the last slot for every index.
        #[test]
        fn counts_as_a_plain_array_does(clicks in prop::collection::vec((0..SLOTS_PER_DAY, any::<bool>()), 0..300)) {
            let mut slots = Slots::default();
            let mut plain = [(0, 0); SLOTS_PER_DAY as usize];
            for &(index, bot) in &clicks {
                slots.add(index, bot);
                if bot { plain[index as usize].1 += 1 } else { plain[index as usize].0 += 1 }
            }
            let dense: Vec<_> = plain.iter().enumerate().filter(|(_, n)| **n != (0, 0)).map(|(i, n)| (i, n.0, n.1)).collect();
            prop_assert_eq!(slots.iter().map(|s| (s.index as usize, s.people, s.bots)).collect::<Vec<_>>(), dense);
        }
    }
}
