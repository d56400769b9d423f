//! The secret that instances and the analytics service share.

use std::{fmt, fs, io, path::Path};

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// The shortest secret that is accepted, in characters.
pub const SECRET_CHARS_MIN: usize = 24;

/// A shared secret: printable ASCII without spaces, [`SECRET_CHARS_MIN`] characters or more. Never logged.
#[derive(Clone)]
pub struct Secret(String);

/// Why something is no secret.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    #[error("must be {SECRET_CHARS_MIN} characters or more, of printable ASCII without spaces")]
    Weak,
    #[error("{path} cannot be read: {source}")]
    File { path: String, source: io::Error },
}

impl Secret {
    pub fn parse(text: &str) -> Result<Self, SecretError> {
        let printable = text.bytes().all(|byte| byte.is_ascii_graphic());
        if text.len() >= SECRET_CHARS_MIN && printable { Ok(Self(text.to_owned())) } else { Err(SecretError::Weak) }
    }

    /// The secret that a file holds, without the white space around it.
    pub fn read(path: &Path) -> Result<Self, SecretError> {
        let text = fs::read_to_string(path)
            .map_err(|source| SecretError::File { path: path.display().to_string(), source })?;
        Self::parse(text.trim())
    }

    /// The secret itself, to be sent.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether `given` is the secret; how long that takes tells nothing of where they differ.
    pub fn matches(&self, given: &[u8]) -> bool {
        Sha256::digest(given).ct_eq(&Sha256::digest(&self.0)).into()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_long_enough_and_matches_itself_alone() {
        let text = "a-secret-of-enough-characters";
        let secret = Secret::parse(text).unwrap();
        assert!(secret.matches(text.as_bytes()));
        for other in ["", "a", "a-secret-of-enough-characterS", "a-secret-of-enough-characters "] {
            assert!(!secret.matches(other.as_bytes()), "{other}");
        }
        assert!(!format!("{secret:?}").contains("enough"));
        for weak in ["", "short", "with spaces but otherwise long enough", "ümläute-sind-hier-nicht-erlaubt"] {
            assert!(Secret::parse(weak).is_err(), "{weak}");
        }
    }

    #[test]
    fn a_file_may_end_in_a_newline() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "a-secret-of-enough-characters\n").unwrap();
        assert!(Secret::read(file.path()).unwrap().matches(b"a-secret-of-enough-characters"));
        let error = Secret::read(Path::new("no/such/file")).unwrap_err();
        assert!(error.to_string().contains("no/such/file"), "{error}");
    }
}
