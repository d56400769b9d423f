//! Instances that share links in three Cassandra nodes with three copies of everything: what goes on while nodes are killed, frozen or cut
//! off, and what holds when many instances want the same.
//!
//! One cluster serves all tests of this program, one after the other.

mod hot_key;
mod load;
mod names;
mod nodes;
mod outage;
mod partition;
mod races;
mod suite;
mod world;
