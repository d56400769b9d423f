//! What the tests share: the real binary, started, driven and killed as a user would.
//!
//! Nothing here knows how Septet is built: it sees the command line, two ports, two streams of text and an exit status.

pub mod analytics_service;
pub mod bench;
pub mod binary;
pub mod browser;
pub mod by_hand;
pub mod client;
pub mod drawer;
pub mod drawing;
pub mod engines;
pub mod http1;
pub mod keyspace;
pub mod lines;
pub mod logs;
pub mod mode;
pub mod process;
pub mod raw;
pub mod restartable;
pub mod septet;
pub mod system;
pub mod token_service;
pub mod wait;
