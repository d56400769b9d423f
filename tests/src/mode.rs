//! The two modes of one test suite: everything embedded, or an instance of a cluster.
//!
//! [`Setup::new`](crate::septet::Setup::new) starts `septet` in the mode that [`VARIABLE`] names, and no test needs to know which. In
//! cluster mode, links are in a keyspace of the shared Cassandra, one for each data directory, and ids come from a token
//! service of this process, on a database of its own in the shared MariaDB.

mod keyspaces;
mod tokens;

use std::{env, path::Path};

use crate::{process::Launch, token_service::SECRET};

/// Names the mode: `embedded`, which it is without, or `cluster`.
pub const VARIABLE: &str = "SEPTET_TEST_MODE";

/// How long a statement may take: many programs share the machine, and a slow one is no failure here.
const LINKS_TIMEOUT_MS: &str = "10000";

/// What Cassandra, and not ScyllaDB, has the driver log of a session with a keyspace of its own.
pub const ADVICE_OF_CASSANDRA: &str =
    "is considered to be an anti-pattern due to ambiguity in non-qualified table names";

/// Where a `septet` keeps its links, and where its ids come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// SQLite files in the data directory.
    Embedded,
    /// Cassandra and a token service.
    Cluster,
}

impl Mode {
    /// What the environment says.
    ///
    /// # Panics
    /// When it says something else.
    pub fn chosen() -> Self {
        match env::var(VARIABLE).as_deref() {
            Err(_) | Ok("embedded") => Self::Embedded,
            Ok("cluster") => Self::Cluster,
            Ok(other) => panic!("{VARIABLE} is {other}: it must be embedded or cluster"),
        }
    }

    /// `launch` with what this mode takes: the same again for the same data directory, as long as that is there.
    pub(crate) fn apply(self, launch: Launch, data_dir: &Path) -> Launch {
        match self {
            Self::Embedded => launch,
            Self::Cluster => launch
                .flag("--links", keyspaces::url(data_dir))
                .flag("--links-timeout-ms", LINKS_TIMEOUT_MS)
                .flag("--leases", tokens::url())
                .env("SEPTET_TOKEN_SERVICE_SECRET", SECRET)
                .allow_log(ADVICE_OF_CASSANDRA),
        }
    }
}
