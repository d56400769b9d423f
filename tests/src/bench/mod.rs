//! Measuring: a load client that costs little, the server's CPU time, and the server to compare with.

pub mod cpu;
pub mod load;
pub mod nginx;
pub mod pin;
pub mod report;
pub mod tasks;
