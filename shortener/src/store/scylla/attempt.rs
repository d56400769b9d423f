//! One attempt at a conditional write: a name by which its writer knows it again.

use uuid::Uuid;

/// Fresh for each attempt, so that of two writes that say the same, by the same instance even, each is told from the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempt(pub Uuid);

impl Attempt {
    pub fn new() -> Self {
        Attempt(Uuid::new_v4())
    }
}
