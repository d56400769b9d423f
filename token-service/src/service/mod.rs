//! The token service: a [`LeaseStore`](crate::LeaseStore) over HTTP. Stateless: any number of replicas over one database.
//!
//! `main` parses the [`settings`] and runs the [`app`]. Calls come in by [`http`], are carried out by [`carrier`] in tasks that
//! no client can cancel, and end in the one database that [`database`] opens by its URL.

pub mod account_report;
mod adopt_report;
pub mod app;
pub mod carrier;
pub mod database;
mod database_watch;
mod drain;
#[cfg(test)]
mod failing_store;
mod greeting;
pub mod http;
pub mod logging;
pub mod metrics;
mod open_files;
pub mod ops;
pub mod settings;
