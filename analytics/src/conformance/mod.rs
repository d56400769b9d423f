//! Suites that hold an implementation to the contract of its seam, whatever it is built on. Each takes a harness that makes
//! an empty instance, and panics where the contract does not hold.

pub mod given;
#[cfg(feature = "consumer")]
pub mod queries;
#[cfg(feature = "consumer")]
pub mod rollups;
pub mod stream;
