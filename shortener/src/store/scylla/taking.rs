//! Taking names for a link, and letting them go: the steps of the argument in [`names`](super::names).

use super::{
    ScyllaStore, answer,
    fence::Standing,
    metrics,
    names::{Hold, Name},
};
use crate::{link::LinkId, store::StoreError};

/// How often an attempt begins again to take one name, as others came first.
const ROUNDS_MAX: u32 = 16;

/// Rounds of these that may get no answer: a cluster that is down is not asked again and again.
const UNANSWERED_MAX: u32 = 4;

/// What came of taking names.
#[derive(Debug)]
pub(super) struct Taking<'a> {
    /// Those that no other attempt of the link held before. They may be let go if nothing comes of the attempt.
    pub newly: Vec<Name<'a>>,
    /// The one that another link has. `None`: all are ours.
    pub refused: Option<Name<'a>>,
}

impl ScyllaStore {
    /// Takes names for an attempt, in their order, up to the first that another link has.
    pub(super) async fn take<'a>(&self, names: &[Name<'a>], ours: Hold) -> Result<Taking<'a>, StoreError> {
        let mut newly = Vec::new();
        for name in names {
            match self.take_one(name, ours).await? {
                Took::Newly => newly.push(*name),
                Took::Over => {}
                Took::Nothing => return Ok(Taking { newly, refused: Some(*name) }),
            }
        }
        Ok(Taking { newly, refused: None })
    }

    async fn take_one(&self, name: &Name<'_>, ours: Hold) -> Result<Took, StoreError> {
        let (mut took, mut unanswered) = (Took::Newly, 0);
        for _ in 0..ROUNDS_MAX {
            let Some(there) = self.names.take(name, ours).await? else {
                unanswered += 1;
                if unanswered == UNANSWERED_MAX {
                    break;
                }
                answer::pause().await;
                continue;
            };
            if there == ours {
                return Ok(took);
            }
            if there.id == ours.id {
                took = Took::Over;
            } else {
                match self.outlast(name, there).await? {
                    Standing::Has => return Ok(Took::Nothing),
                    Standing::Gone => continue,
                    Standing::Past => {}
                }
            }
            if self.names.take_over(name, there, ours).await? {
                return Ok(took);
            }
        }
        Err(metrics::rounds_spent("take_name"))
    }

    /// The holds that a link has on names now.
    pub(super) async fn holds<'a>(&self, names: &[Name<'a>], id: LinkId) -> Result<Vec<(Name<'a>, Hold)>, StoreError> {
        let mut holds = Vec::new();
        for name in names {
            if let Some(hold) = self.names.holder(name).await?
                && hold.id == id
            {
                holds.push((*name, hold));
            }
        }
        Ok(holds)
    }

    /// Lets go what is held no more. What fails is left behind.
    pub(super) async fn let_go(&self, holds: &[(Name<'_>, Hold)]) {
        for (name, hold) in holds {
            metrics::tidied("name", self.names.let_go(name, *hold).await);
        }
    }

    /// Lets go what an attempt took that nothing comes of.
    pub(super) async fn let_go_of_ours(&self, newly: &[Name<'_>], ours: Hold) {
        for name in newly {
            metrics::tidied("name", self.names.let_go(name, ours).await);
        }
    }
}

/// How a name was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Took {
    Newly,
    /// From another attempt of the same link.
    Over,
    /// Not at all: another link has it.
    Nothing,
}
