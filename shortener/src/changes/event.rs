//! What is told: JSON, as there is little of it.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::key::Key;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "event")]
pub enum Event {
    /// What is known of a key is out of date.
    Changed { key: String },
    /// An instance is there, and hears itself.
    Beat { instance: Uuid, number: u64 },
    /// Of a newer version: passed over.
    #[serde(other)]
    Unknown,
}

impl Event {
    pub fn changed(key: &Key) -> Self {
        Event::Changed { key: key.as_str().to_owned() }
    }
}
