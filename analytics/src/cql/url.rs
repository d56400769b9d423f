//! `scylla://user:password@host:9042,host:9042/keyspace`: where a keyspace is.

use std::{fmt, str::FromStr};

use percent_encoding::percent_decode_str;

use crate::nodes;

/// CQL's port, where a URL names none.
const PORT: u16 = 9042;

/// The longest name of a keyspace, in characters, for Cassandra and ScyllaDB alike.
const KEYSPACE_CHARS_MAX: usize = 48;

/// A cluster, by some of its nodes, and a keyspace of it. The password is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct CqlUrl {
    /// `host:port`, at least one.
    pub nodes: Vec<String>,
    pub keyspace: String,
    pub user: Option<String>,
    pub password: Option<String>,
}

/// Why a text is no such URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CqlUrlError {
    #[error("must look like scylla://HOST:PORT,HOST:PORT/KEYSPACE")]
    Form,
    #[error("names a node that is no HOST:PORT: the {0}. one")]
    Node(usize),
    #[error(
        "names the keyspace {0:?}: it must begin with a letter, go on in lower-case letters, digits and _, and have \
         at most {KEYSPACE_CHARS_MAX} characters"
    )]
    Keyspace(String),
    #[error("has a part behind the keyspace; other settings are flags of their own")]
    Rest,
}

impl FromStr for CqlUrl {
    type Err = CqlUrlError;

    fn from_str(url: &str) -> Result<Self, CqlUrlError> {
        let rest = url.strip_prefix("scylla://").ok_or(CqlUrlError::Form)?;
        let (place, keyspace) = rest.rsplit_once('/').ok_or(CqlUrlError::Form)?;
        if keyspace.contains(['?', '#']) {
            return Err(CqlUrlError::Rest);
        }
        let (login, nodes) = place.rsplit_once('@').map_or((None, place), |(login, nodes)| (Some(login), nodes));
        let (user, password) = login.map_or((None, None), |login| match login.split_once(':') {
            Some((user, password)) => (Some(decoded(user)), Some(decoded(password))),
            None => (Some(decoded(login)), None),
        });
        let nodes = nodes
            .split(',')
            .enumerate()
            .map(|(index, given)| nodes::parse(given, PORT).ok_or(CqlUrlError::Node(index + 1)));
        let nodes = nodes.collect::<Result<_, _>>()?;
        if !is_keyspace(keyspace) {
            return Err(CqlUrlError::Keyspace(keyspace.to_owned()));
        }
        Ok(CqlUrl { nodes, keyspace: keyspace.to_owned(), user, password })
    }
}

fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// Unquoted names are folded to lower case by CQL: what is written is what is there.
fn is_keyspace(name: &str) -> bool {
    let begins = name.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase());
    let goes_on = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    begins && goes_on && name.len() <= KEYSPACE_CHARS_MAX
}

impl fmt::Display for CqlUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "scylla://{}/{}", self.nodes.join(","), self.keyspace)
    }
}

impl fmt::Debug for CqlUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CqlUrl({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seen to fail when the last colon was taken for a port's inside of brackets, and when the login was cut at its first `@`.
    #[test]
    fn a_url_names_nodes_a_keyspace_and_a_login() {
        let url: CqlUrl = "scylla://a:1,b,[::1]:9,[::2]/links_1".parse().unwrap();
        assert_eq!(url.nodes, ["a:1", "b:9042", "[::1]:9", "[::2]:9042"]);
        assert_eq!((url.keyspace.as_str(), url.user), ("links_1", None));
        let url: CqlUrl = "scylla://me:p%40ss:w@rd@a/links".parse().unwrap();
        assert_eq!((url.user.as_deref(), url.password.as_deref()), (Some("me"), Some("p@ss:w@rd")));
        assert_eq!(url.to_string(), "scylla://a:9042/links");
        assert!(!format!("{url:?}").contains("p@ss"));
    }

    #[test]
    fn what_is_no_url_is_told_why() {
        for (given, error) in [
            ("", CqlUrlError::Form),
            ("cassandra://a/links", CqlUrlError::Form),
            ("scylla://a", CqlUrlError::Form),
            ("scylla:///links", CqlUrlError::Node(1)),
            ("scylla://a,:9042/links", CqlUrlError::Node(2)),
            ("scylla://a:x/links", CqlUrlError::Node(1)),
            ("scylla://a:70000/links", CqlUrlError::Node(1)),
            ("scylla://a b/links", CqlUrlError::Node(1)),
            ("scylla://a/", CqlUrlError::Keyspace(String::new())),
            ("scylla://a/Links", CqlUrlError::Keyspace("Links".to_owned())),
            ("scylla://a/li-nks", CqlUrlError::Keyspace("li-nks".to_owned())),
            ("scylla://a/1links", CqlUrlError::Keyspace("1links".to_owned())),
            ("scylla://a/links?tls=1", CqlUrlError::Rest),
        ] {
            assert_eq!(given.parse::<CqlUrl>().unwrap_err(), error, "{given}");
        }
    }
}
