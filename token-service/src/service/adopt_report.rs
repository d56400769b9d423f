//! What a move has done, for a person to read.

use std::fmt;

use crate::adopt::Adopted;

/// Says which id space it was, how much of it was leased, and what comes next.
#[derive(Debug)]
pub struct AdoptReport<'a>(pub &'a Adopted);

impl fmt::Display for AdoptReport<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Adopted { fingerprint, ever_leased, copied } = self.0;
        match copied {
            Some(leases) => writeln!(f, "adopted the id space {fingerprint}: {leases} leases")?,
            None => writeln!(f, "already adopted: the id space {fingerprint}")?,
        }
        writeln!(f, "blocks leased so far where it was: {ever_leased}")?;
        write!(f, "Nothing is leased there any more: start the token service, and instances with --leases http://...")
    }
}
