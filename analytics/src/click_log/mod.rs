//! The click log: an instance's own append-only record of clicks, on its disk.

pub mod record;
