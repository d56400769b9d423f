//! Clicks to be counted: drawn, written to a topic as a forwarder writes them, and counted by the real service. What `counting` and
//! `questions` share.

pub mod draw;
pub mod progress;
pub mod scrape;
pub mod service;
pub mod topic;
pub mod values;
