//! The click log: an instance's own append-only record of clicks, on its disk.
//!
//! Each worker thread of each process start opens a log of its own, under a random [`LogId`](crate::click::LogId), and
//! is its only writer. A log is never reopened for writing after its process ended. So an offset is never used twice,
//! whatever a crash or a power failure takes away: `(log, offset)` names a click for ever. Offsets are greater than
//! zero and rise within a log.
//!
//! An append is a copy into memory that is mapped from a file: no lock, no allocation and no system call (but for one
//! futex wake per segment). The kernel owns that memory, so what was appended survives `kill -9` of the process. All
//! logs are flushed to disk every [`flush_interval`](Options::flush_interval): what a power failure can cost is that
//! second.
//!
//! # Limits
//! | limit | when it is reached | metric |
//! |---|---|---|
//! | [`disk_max_bytes`](Options::disk_max_bytes), or a full disk | an append answers [`LogFull`], the click is not recorded; heals when logs are trimmed | `septet_clicks_dropped_total{reason="log_full"}`, `septet_click_log_disk_bytes` |
//! | the length of a header ([`record`]) | it is cut, `X-Forwarded-For` at its beginning | `septet_click_log_truncated_fields_total` |
//! | no segment prepared when one is needed | the writer prepares it itself, and its thread waits for the disk | `septet_click_log_stalls_total` |
//! | two segments for each writer within `disk_max_bytes` | [`ClickLogs::writer`] fails | |
//! | spare segments: [`SPARES_MAX`] | one more is deleted | `septet_click_log_disk_bytes` |
//!
//! # The folder
//! ```text
//! lock                                         locked (flock) by the process that uses the folder
//! {log}-{base}.clicks                          a segment of a log; both 16 hexadecimal digits
//! {random}.spare                               an allocated file without records, deleted at the next start
//! ```
//! A log is the sequence of its segments in the order of their bases. A segment's base is the sum of the lengths of
//! those before it, trimmed ones included, and a record at position `p` of the file lies at offset `base + p` of the
//! log. All numbers are little-endian. A segment opens with a header of 64 bytes, which is on the disk before the file
//! gets its name:
//!
//! | bytes | |
//! |---|---|
//! | 0..8 | `SEPTCLIK` |
//! | 8..12 | version of the format: 1 |
//! | 12..20 | log id |
//! | 20..28 | base |
//! | 28..36 | length of the file |
//! | 36..40 | CRC-32 (IEEE) of the bytes before |
//! | 40..64 | zero |
//!
//! Records follow without padding, each within one segment:
//!
//! | bytes | |
//! |---|---|
//! | 4 | length of the body |
//! | 4 | CRC-32 (IEEE) of the log id (8 bytes), the offset at which the record ends (8 bytes) and the body |
//! | 8 | milliseconds since 1970-01-01 UTC |
//! | 8 | link id |
//! | 1 | length of the peer's address: 4 or 16 |
//! | 2, 2, 2, 1 | lengths of `User-Agent`, `Referer`, `X-Forwarded-For` and the country header |
//! | | the address and the headers, in that order |
//!
//! Eight zero bytes where a record would begin, or less than eight bytes left, end a segment. As the checksum covers
//! log and offset, what is left of an earlier use of a recycled file never passes as a record. A record that fails its
//! checksum ends its segment (counted in `septet_click_log_torn_total`); the log goes on with the next segment, if
//! there is one. A file of a newer version, or one with this name and other contents, stops the start and is never
//! deleted.

mod background;
mod cursor;
mod error;
mod folder;
mod frame;
mod header;
mod log;
mod logs;
mod metrics;
mod old;
mod options;
mod pool;
mod reader;
pub mod record;
mod segment;
mod shared;
#[cfg(test)]
mod tests;
mod writer;

pub use error::{Error, LogFull};
pub use logs::ClickLogs;
pub use options::{Options, SEGMENT_MIN_BYTES};
pub use pool::SPARES_MAX;
pub use reader::ClickReader;
pub use record::RawClick;
pub use writer::ClickWriter;
