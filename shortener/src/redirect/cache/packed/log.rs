//! Records one behind the other, in segments: written at the back, given up at the front.
//!
//! A record keeps its position until its segment is given up. Which records are alive is for the index to know; the log
//! only counts their bytes.

use std::collections::VecDeque;

/// The bytes of a segment; a longer record has a segment for itself.
pub const SEGMENT_BYTES: usize = 1 << OFFSET_BITS;

/// A position is the number of a segment, counted from the first ever and around, and the offset in it.
const OFFSET_BITS: u32 = 14;
const NUMBER_BITS: u32 = 10;
const NUMBER_MASK: u32 = (1 << NUMBER_BITS) - 1;

/// The most bytes that a log may hold, so that no two of its segments have one number.
pub const LOG_BYTES_MAX: u64 = (SEGMENT_BYTES as u64) << (NUMBER_BITS - 1);

/// Where a record is: 24 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position(u32);

impl Position {
    /// How many bits a position takes.
    pub const BITS: u32 = OFFSET_BITS + NUMBER_BITS;

    pub fn from_bits(bits: u32) -> Self {
        Position(bits)
    }

    pub fn bits(self) -> u32 {
        self.0
    }

    fn of(number: u32, offset: usize) -> Self {
        debug_assert!(offset < SEGMENT_BYTES);
        Position((number & NUMBER_MASK) << OFFSET_BITS | offset as u32)
    }

    fn number(self) -> u32 {
        self.0 >> OFFSET_BITS
    }

    fn offset(self) -> usize {
        self.0 as usize % SEGMENT_BYTES
    }
}

/// See the module.
#[derive(Default)]
pub struct Log {
    /// The oldest one first.
    segments: VecDeque<Vec<u8>>,
    /// The number of the oldest one.
    first: u32,
    allocated_bytes: usize,
    written_bytes: usize,
    live_bytes: usize,
}

/// A segment that was given up: the records in it, with the positions they had.
pub struct GivenUp {
    number: u32,
    pub bytes: Vec<u8>,
}

impl GivenUp {
    /// Where the record was that begins at `offset`.
    pub fn position(&self, offset: usize) -> Position {
        Position::of(self.number, offset)
    }

    /// What is written from this position on, if it is in this segment.
    pub fn at(&self, position: Position) -> Option<&[u8]> {
        (position.number() == self.number & NUMBER_MASK).then(|| &self.bytes[position.offset()..])
    }
}

impl Log {
    /// Writes a live record at the back.
    pub fn append(&mut self, record: &[u8]) -> Position {
        if self.segments.back().is_none_or(|last| last.capacity() - last.len() < record.len()) {
            let segment = Vec::with_capacity(record.len().max(SEGMENT_BYTES));
            self.allocated_bytes += segment.capacity();
            self.segments.push_back(segment);
        }
        let number = self.first.wrapping_add(self.segments.len() as u32 - 1);
        let last = self.segments.back_mut().expect("there is one with room");
        let position = Position::of(number, last.len());
        last.extend_from_slice(record);
        self.written_bytes += record.len();
        self.live_bytes += record.len();
        position
    }

    /// Counts a record of so many bytes as dead.
    pub fn forget(&mut self, len: usize) {
        self.live_bytes -= len;
    }

    /// What is written from this position to the end of its segment.
    pub fn at(&self, position: Position) -> &[u8] {
        &self.segments[self.place(position)][position.offset()..]
    }

    pub fn at_mut(&mut self, position: Position) -> &mut [u8] {
        let place = self.place(position);
        &mut self.segments[place][position.offset()..]
    }

    fn place(&self, position: Position) -> usize {
        (position.number().wrapping_sub(self.first) & NUMBER_MASK) as usize
    }

    /// Gives the oldest segment up. Its live records must be forgotten, or appended again and forgotten.
    pub fn give_up(&mut self) -> Option<GivenUp> {
        let bytes = self.segments.pop_front()?;
        let number = self.first;
        self.first = self.first.wrapping_add(1);
        self.allocated_bytes -= bytes.capacity();
        self.written_bytes -= bytes.len();
        Some(GivenUp { number, bytes })
    }

    pub fn is_empty(&self) -> bool {
        self.segments.is_empty()
    }

    /// The memory that it takes: its segments, full or not, and the list of them.
    pub fn held_bytes(&self) -> usize {
        self.allocated_bytes + self.segments.capacity() * size_of::<Vec<u8>>()
    }

    /// How much of that is records that are dead.
    pub fn dead_bytes(&self) -> usize {
        self.written_bytes - self.live_bytes
    }
}

#[cfg(test)]
impl Log {
    /// Panics unless the bytes add up, of which so many are alive.
    pub fn check(&self, live_bytes: usize) {
        assert_eq!(self.live_bytes, live_bytes);
        assert_eq!(self.written_bytes, self.segments.iter().map(Vec::len).sum::<usize>());
        assert_eq!(self.allocated_bytes, self.segments.iter().map(Vec::capacity).sum::<usize>());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seen to fail when numbers were not taken around.
    #[test]
    fn positions_outlast_the_numbers_of_segments() {
        let mut log = Log { first: NUMBER_MASK - 1, ..Log::default() };
        let record = |byte: u8| vec![byte; SEGMENT_BYTES / 2];
        let positions: Vec<_> = (0..8).map(|byte| log.append(&record(byte))).collect();
        for (byte, position) in positions.iter().enumerate() {
            assert!(log.at(*position).starts_with(&record(byte as u8)), "{byte}");
            assert!(position.bits() < 1 << Position::BITS);
        }
        let oldest = log.give_up().unwrap();
        assert_eq!([oldest.position(0), oldest.position(SEGMENT_BYTES / 2)], positions[..2]);
        assert_eq!(oldest.bytes, [record(0), record(1)].concat());
        assert!(log.at(positions[2]).starts_with(&record(2)));
    }

    /// Seen to fail when a segment had the usual size whatever was to go into it, and when the bytes of a given-up one
    /// were still counted.
    #[test]
    fn a_long_record_has_a_segment_for_itself() {
        let mut log = Log::default();
        let (short, long) = (vec![1; 10], vec![2; 3 * SEGMENT_BYTES]);
        let positions = [&short, &long, &short].map(|record| log.append(record));
        assert_eq!(log.at(positions[1]), long);
        let list_bytes = log.segments.capacity() * size_of::<Vec<u8>>();
        assert_eq!(log.held_bytes() - list_bytes, 5 * SEGMENT_BYTES);
        assert_eq!(log.dead_bytes(), 0);
        log.forget(short.len());
        assert_eq!(log.dead_bytes(), short.len());
        log.give_up().unwrap();
        assert_eq!(log.dead_bytes(), 0);
        assert_eq!(log.held_bytes() - list_bytes, 4 * SEGMENT_BYTES);
    }
}
