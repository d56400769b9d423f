//! The whole system, and everything of it killed while links are made and opened.

mod changes;
mod counted;
mod kills;
mod load;
mod outage;
mod visitors;
