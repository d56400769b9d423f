//! What every implementation of a seam must do. Each suite takes a harness that makes an empty instance, and panics where the contract
//! does not hold.

#[cfg(feature = "consumer")]
pub mod queries;
#[cfg(feature = "consumer")]
pub mod rollups;
