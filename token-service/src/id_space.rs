//! The id space's secret key, from which every code is made, and the fingerprint that tells two id spaces apart.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// An id space: the key under which ids become codes. Made once, at the first migration, and kept for ever: with another
/// key the same ids would give other codes, and codes already given out could be given out again.
#[derive(Clone, PartialEq, Eq)]
pub struct IdSpace {
    key: [u8; 32],
}

impl IdSpace {
    /// An id space with this secret key (32 random bytes).
    pub fn new(key: [u8; 32]) -> Self {
        Self { key }
    }

    /// The secret key. Never logged, never answered to a person.
    pub fn key(&self) -> &[u8; 32] {
        &self.key
    }

    /// Tells this id space from others without giving its key away: the first 16 bytes of SHA-256 over a label and the key.
    pub fn fingerprint(&self) -> Fingerprint {
        let digest = Sha256::new().chain_update(b"septet id space\0").chain_update(self.key).finalize();
        let mut fingerprint = [0; 16];
        fingerprint.copy_from_slice(&digest[..16]);
        Fingerprint(fingerprint)
    }
}

impl fmt::Debug for IdSpace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "IdSpace({})", self.fingerprint())
    }
}

/// Names an id space. Safe to show; written as 32 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "service", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "service", schema(value_type = String))]
#[serde(into = "String", try_from = "String")]
pub struct Fingerprint(pub [u8; 16]);

impl From<Fingerprint> for String {
    fn from(fingerprint: Fingerprint) -> Self {
        fingerprint.to_string()
    }
}

impl TryFrom<String> for Fingerprint {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let mut bytes = [0; 16];
        match hex::decode_to_slice(&text, &mut bytes) {
            Ok(()) => Ok(Fingerprint(bytes)),
            Err(_) => Err(format!("{text:?} is no fingerprint: 32 hexadecimal digits")),
        }
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
