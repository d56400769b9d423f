//! How many files this process may hold open: a connection is one.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the limit as far as this process may by itself (shells and service managers often start it at 1,024), and returns it.
pub fn raise_limit() -> u64 {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    match setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        Ok(()) => maximum.unwrap_or(u64::MAX),
        Err(error) => {
            tracing::warn!(%error, open_files_max = current, "the limit on open files stays as it is");
            current.unwrap_or(u64::MAX)
        }
    }
}
