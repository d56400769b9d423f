//! Suites that hold an implementation to the contract of its seam, whatever it is built on.

pub mod stream;
