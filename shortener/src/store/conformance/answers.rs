//! What a store's answers are worth where many want the same at once.

use tokio::task::JoinHandle;

use crate::store::StoreError;

/// Whether each try is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answers {
    /// Whoever asks is told what came of it.
    Always,
    /// Several nodes may give somebody no answer in time: then nobody knows what came of it, and it may have been done though its repetition is told
    /// that it comes too late.
    MayBeLost,
}

impl Answers {
    /// What came of a try, if somebody knows.
    pub fn of<T>(self, outcome: Result<T, StoreError>) -> Option<T> {
        match outcome {
            Ok(outcome) => Some(outcome),
            Err(StoreError::Unavailable(_)) if self == Answers::MayBeLost => None,
            Err(error) => panic!("{error}"),
        }
    }

    /// Of all who try the same at once, one wins. Where answers may be lost, the winner may be among those who got none.
    pub async fn one_wins<T>(
        self,
        tries: impl Iterator<Item = JoinHandle<Result<T, StoreError>>>,
        has_won: impl Fn(T) -> bool,
    ) {
        let (mut winners, mut unanswered) = (0, 0);
        for tried in tries.collect::<Vec<_>>() {
            match self.of(tried.await.expect("it does not panic")) {
                Some(outcome) => winners += usize::from(has_won(outcome)),
                None => unanswered += 1,
            }
        }
        assert!(winners == 1 || winners == 0 && unanswered > 0, "{winners} won, {unanswered} were not answered");
    }
}
