//! Frames: a record with its length and checksum, and how records follow each other in a segment.

use std::sync::atomic::{Ordering, compiler_fence};

use crc32fast::Hasher;

use super::record::{BODY_MAX_BYTES, RawClick};
use crate::click::LogId;

/// Length and checksum, before each body.
pub const FRAME_BYTES: usize = 8;

/// The checksum of a log's id: where the checksums of its records begin.
#[derive(Debug, Clone, Copy)]
pub struct Seed(u32);

impl Seed {
    pub fn of(log: LogId) -> Self {
        Self(crc32fast::hash(&log.0.to_le_bytes()))
    }

    fn checksum(self, end: u64, body: &[u8]) -> u32 {
        let mut hasher = Hasher::new_with_initial(self.0);
        hasher.update(&end.to_le_bytes());
        hasher.update(body);
        hasher.finalize()
    }
}

/// Writes a frame at the beginning of `area`, which lies at offset `start` of the log and has room for it. Answers its
/// length.
///
/// What follows is ended by zeros first, and the frame's own head comes last: a process killed in between leaves the
/// log without this record, and with a clean end. (The order is not needed for safety: a half-written record fails its
/// checksum.)
pub fn write(area: &mut [u8], start: u64, seed: Seed, click: &RawClick<'_>) -> usize {
    let body_bytes = click.encoded_bytes();
    let end = FRAME_BYTES + body_bytes;
    if let Some(next) = area.get_mut(end..end + FRAME_BYTES) {
        next.fill(0);
    }
    let body = &mut area[FRAME_BYTES..end];
    click.encode(body);
    let checksum = seed.checksum(start + end as u64, body);
    compiler_fence(Ordering::SeqCst);
    area[..FRAME_BYTES].copy_from_slice(&(u64::from(checksum) << 32 | body_bytes as u64).to_le_bytes());
    end
}

/// What lies at a place of a segment.
#[derive(Debug, PartialEq, Eq)]
pub enum Step<'a> {
    /// A record, and its length with its frame.
    Record(RawClick<'a>, usize),
    /// The end of what was written.
    End,
    /// Neither: the remains of something else.
    Torn,
}

/// Reads what lies at the beginning of `area`, which lies at offset `start` of the log.
pub fn read(area: &[u8], start: u64, seed: Seed) -> Step<'_> {
    let Some((head, rest)) = area.split_first_chunk::<FRAME_BYTES>() else { return Step::End };
    let head = u64::from_le_bytes(*head);
    if head == 0 {
        return Step::End;
    }
    let body_bytes = (head & u64::from(u32::MAX)) as usize;
    let Some(body) = rest.get(..body_bytes).filter(|_| body_bytes <= BODY_MAX_BYTES) else { return Step::Torn };
    let length = FRAME_BYTES + body_bytes;
    if seed.checksum(start + length as u64, body) != (head >> 32) as u32 {
        return Step::Torn;
    }
    RawClick::decode(body).map_or(Step::Torn, |click| Step::Record(click, length))
}
