//! Measuring: a load client that costs little, the server's CPU time, and the server to compare with.

pub mod cassandra;
pub mod cpu;
pub mod files;
pub mod load;
pub mod moment;
pub mod nginx;
pub mod pin;
pub mod report;
pub mod tasks;
