//! The whole system, and everything of it killed while links are made and opened.

mod counted;
mod kills;
mod load;
mod outage;
