//! The token service: [`LeaseStore`](crate::LeaseStore) over HTTP.
