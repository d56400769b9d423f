//! Clicks per link and quarter-hour, in one day of all links together: of the links clicked most.
//!
//! The algorithm is that of Misra and Gries ("Finding repeated elements", 1982) in the form of Anderson and others ("A high-performance algorithm
//! for identifying frequent items in data streams", 2017): every link has a weight, which grows by its clicks. When there is no room for
//! one more, the weight of the median is taken from all of them, and those go of which nothing remains; their clicks count as
//! [`OTHER`](crate::query::OTHER). What is said of a link that is kept is what was counted of it: never too much.
//!
//! With at most [`LINKS_MAX`] links in a day, nothing is lost. With more, a link's clicks are short by at most the sum of what was taken, which
//! is at most [`ERROR_DIVISOR`] times smaller than the number of clicks of the day: each time, at least so many links lose it. So
//! every link with a larger share of them is there.

use foldhash::HashMap;
use serde::{Deserialize, Serialize};

use crate::rollups::slots::Slots;

/// Links of one day that are kept, at most.
pub const LINKS_MAX: usize = 4_096;

/// A link's clicks of a day are short by at most this part of all of them.
pub const ERROR_DIVISOR: usize = LINKS_MAX / 2;

/// The links clicked most, in the order in which they came: two folds of the same clicks are equal.
#[derive(Debug, Clone, Default)]
pub struct TopLinks {
    links: Vec<Link>,
    /// Clicks of links that are not kept, or were not when they were clicked.
    other: Slots,
    /// Places in `links`.
    places: HashMap<u64, u32>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Link {
    id: u64,
    /// Its clicks since it came, less what was taken from it.
    weight: u64,
    slots: Slots,
}

impl TopLinks {
    /// Counts a click. Returns how many clicks, earlier ones maybe, went to those of others.
    pub fn add(&mut self, id: u64, slot: u8, bot: bool) -> u64 {
        if let Some(&place) = self.places.get(&id) {
            self.links[place as usize].count(slot, bot);
            return 0;
        }
        let gone = if self.links.len() == LINKS_MAX { self.make_room() } else { 0 };
        let mut link = Link { id, weight: 0, slots: Slots::default() };
        link.count(slot, bot);
        self.places.insert(id, self.links.len() as u32);
        self.links.push(link);
        gone
    }

    /// The links that are kept, with their clicks.
    pub fn iter(&self) -> impl Iterator<Item = (u64, &Slots)> {
        self.links.iter().map(|link| (link.id, &link.slots))
    }

    /// The clicks of all others.
    pub fn other(&self) -> &Slots {
        &self.other
    }

    /// The same links of the same weights, with their clicks in the first quarter-hour of the day.
    pub(super) fn daily(&self) -> TopLinks {
        let links =
            self.links.iter().map(|Link { id, weight, slots }| Link { id: *id, weight: *weight, slots: slots.daily() });
        TopLinks { links: links.collect(), other: self.other.daily(), places: self.places.clone() }
    }

    pub fn is_empty(&self) -> bool {
        self.links.is_empty() && self.other.is_empty()
    }

    /// About how many bytes it holds on the heap.
    pub fn heap_bytes(&self) -> usize {
        let slots: usize = self.links.iter().map(|link| link.slots.heap_bytes()).sum();
        let places = self.places.capacity() * (size_of::<(u64, u32)>() + 1);
        slots + self.links.capacity() * size_of::<Link>() + self.other.heap_bytes() + places
    }

    /// About how many bytes its encoding takes.
    pub(super) fn encoded_bytes(&self) -> usize {
        let links: usize = self.links.iter().map(|link| 8 + link.slots.encoded_bytes()).sum();
        2 + links + self.other.encoded_bytes()
    }

    /// Forgets half of the links, those of the least weight; how many clicks these had.
    fn make_room(&mut self) -> u64 {
        let mut weights: Vec<_> = self.links.iter().map(|link| link.weight).collect();
        let (_, median, _) = weights.select_nth_unstable(LINKS_MAX - ERROR_DIVISOR);
        let taken = *median;
        let (mut gone, other) = (0, &mut self.other);
        self.links.retain_mut(|link| {
            link.weight = link.weight.saturating_sub(taken);
            if link.weight == 0 {
                gone += link.slots.clicks();
                other.add_all(&link.slots);
            }
            link.weight > 0
        });
        self.places = places(&self.links);
        gone
    }
}

impl Link {
    fn count(&mut self, slot: u8, bot: bool) {
        self.weight += 1;
        self.slots.add(slot, bot);
    }
}

fn places(links: &[Link]) -> HashMap<u64, u32> {
    (0..).zip(links).map(|(place, link)| (link.id, place)).collect()
}

/// Links, and others, as they were counted before they had weights.
impl FromIterator<(Option<u64>, Slots)> for TopLinks {
    fn from_iter<I: IntoIterator<Item = (Option<u64>, Slots)>>(counted: I) -> Self {
        let mut top = TopLinks::default();
        for (id, slots) in counted {
            match id {
                Some(id) => top.links.push(Link { id, weight: slots.clicks(), slots }),
                None => top.other.add_all(&slots),
            }
        }
        top.places = places(&top.links);
        top
    }
}

impl PartialEq for TopLinks {
    fn eq(&self, other: &Self) -> bool {
        (&self.links, &self.other) == (&other.links, &other.other)
    }
}

impl Serialize for TopLinks {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (&self.other, &self.links).serialize(serializer)
    }
}

impl<'a> Deserialize<'a> for TopLinks {
    fn deserialize<D: serde::Deserializer<'a>>(deserializer: D) -> Result<Self, D::Error> {
        let (other, links) = <(Slots, Vec<Link>)>::deserialize(deserializer)?;
        Ok(TopLinks { places: places(&links), links, other })
    }
}

#[cfg(test)]
mod tests;
