//! The header of a segment file: says what the file is, so that nothing else is ever taken for it.

use super::options::{SEGMENT_MAX_BYTES, SEGMENT_MIN_BYTES};
use crate::click::LogId;

/// What the header takes at the beginning of a segment.
pub const HEADER_BYTES: usize = 64;
/// The version of the format that is written, and the highest that is read.
pub const VERSION: u32 = 1;
const MAGIC: &[u8; 8] = b"SEPTCLIK";
const CHECKED_BYTES: usize = 36;

/// What a header says of its segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    pub log: LogId,
    pub base: u64,
    pub segment_bytes: u64,
}

/// What was found where a header should be.
#[derive(Debug, PartialEq, Eq)]
pub enum Found {
    Header(Header),
    /// Ours, and broken, or never written: a power failure can leave that.
    Torn,
    Newer(u32),
    Foreign,
}

impl Header {
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[0..8].copy_from_slice(MAGIC);
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        bytes[12..20].copy_from_slice(&self.log.0.to_le_bytes());
        bytes[20..28].copy_from_slice(&self.base.to_le_bytes());
        bytes[28..36].copy_from_slice(&self.segment_bytes.to_le_bytes());
        let checksum = crc32fast::hash(&bytes[..CHECKED_BYTES]);
        bytes[36..40].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// Reads the beginning of a file, which is shorter than a header if the file is.
    pub fn decode(bytes: &[u8]) -> Found {
        if bytes.iter().all(|byte| *byte == 0) {
            return Found::Torn;
        }
        let magic = &bytes[..MAGIC.len().min(bytes.len())];
        if !MAGIC.starts_with(magic) {
            return Found::Foreign;
        }
        let Some(bytes) = bytes.first_chunk::<HEADER_BYTES>() else { return Found::Torn };
        let version = u32::from_le_bytes([bytes[8], bytes[9], bytes[10], bytes[11]]);
        if version > VERSION {
            return Found::Newer(version);
        }
        let number = |at: usize| bytes[at..].first_chunk::<8>().map_or(0, |chunk| u64::from_le_bytes(*chunk));
        let header = Self { log: LogId(number(12)), base: number(20), segment_bytes: number(28) };
        let sound =
            header.encode() == *bytes && (SEGMENT_MIN_BYTES..=SEGMENT_MAX_BYTES).contains(&header.segment_bytes);
        if sound { Found::Header(header) } else { Found::Torn }
    }
}
