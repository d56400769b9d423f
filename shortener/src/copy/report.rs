//! What a copy says when it is done.

use std::fmt;

use token_service::Fingerprint;

use super::verify::Verified;

/// What was copied.
#[derive(Debug)]
pub struct Report {
    pub id_space: Fingerprint,
    pub claims: u64,
    pub idempotency_keys: u64,
    pub verified: Verified,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report { id_space, claims, idempotency_keys, verified } = self;
        let Verified { links, archived, compared } = verified;
        writeln!(
            f,
            "copied the id space {id_space}: {links} links ({archived} of them archived), {claims} claims, \
                     {idempotency_keys} idempotency keys"
        )?;
        write!(f, "verified: both count {links} links, and {compared} of them, chosen at random, are the same")
    }
}
