//! Where engines run: on this machine's loopback, or where the pods of a Kubernetes cluster reach them.

use std::{env, net::Ipv4Addr};

use anyhow::{Context, Result};

/// The address at which pods reach the engines, such as that of a bridge or of the node. Without it, engines are for this machine alone.
pub const ADDRESS_VARIABLE: &str = "SEPTET_TEST_NODE_ADDRESS";

/// What a program is put behind to run where that address is, words apart by spaces; nothing where that is here.
pub const RUN_VARIABLE: &str = "SEPTET_TEST_NODE_RUN";

/// Where an engine listens, and what runs it there. Files are the same here and there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub address: Ipv4Addr,
    /// What its command is put behind, or nothing.
    pub runner: Vec<String>,
}

impl Place {
    /// This machine alone.
    pub const HERE: Self = Self { address: Ipv4Addr::LOCALHOST, runner: Vec::new() };

    /// The one that the environment names.
    ///
    /// # Errors
    /// When it names an address that is none.
    pub fn named() -> Result<Self> {
        let (address, run) = (env::var(ADDRESS_VARIABLE).ok(), env::var(RUN_VARIABLE).ok());
        Self::of(address.as_deref(), run.as_deref())
    }

    fn of(address: Option<&str>, run: Option<&str>) -> Result<Self> {
        let Some(address) = address else { return Ok(Self::HERE) };
        let address = address.parse().with_context(|| format!("{ADDRESS_VARIABLE} is no IPv4 address: {address:?}"))?;
        Ok(Self { address, runner: run.unwrap_or_default().split_whitespace().map(String::from).collect() })
    }

    /// `command`, to be run there.
    pub fn run(&self, command: Vec<String>) -> Vec<String> {
        [self.runner.clone(), command].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seen to fail when the command came first.
    #[test]
    fn a_place_is_an_address_and_what_runs_there() {
        assert_eq!(Place::of(None, Some("ignored")).unwrap(), Place::HERE);
        let place = Place::of(Some("10.0.0.2"), Some("ssh node")).unwrap();
        assert_eq!(place.address, Ipv4Addr::new(10, 0, 0, 2));
        assert_eq!(place.run(vec!["true".into()]), ["ssh", "node", "true"]);
        assert!(Place::of(Some("node"), None).is_err());
    }
}
