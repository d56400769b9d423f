//! What tests do to a session: a process that is killed between two statements, an answer that gets lost.
//!
//! Statements are counted from when a fault is set, in the order in which they are begun: reads, writes, and batches as one each.

use std::{
    future::{Future, pending},
    time::Duration,
};

use scylla::errors::ExecutionError;
use tokio::sync::watch;

/// The faults of one session. Of two that are set at once, the later one counts.
#[derive(Debug, Default)]
pub struct Faults(watch::Sender<State>);

#[derive(Debug, Default)]
struct State {
    fault: Option<Fault>,
    /// Statements since the fault was set.
    begun: u32,
    /// Of the statements that go out, those that have not ended.
    under_way: u32,
    /// Whether the fault has shown.
    shown: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    CutOffAfter(u32),
    LoseAnswer(u32),
    LoseStatement(u32),
    LoseEach(u32),
    Delay(u32),
}

/// What becomes of one statement.
enum Fate {
    Sent,
    Unanswered,
    Unsent,
    Late,
    Held,
}

impl Faults {
    /// Does `work` as a process that is killed when it is about to send a statement after the first `sent`: these are carried out, no
    /// later one ever is. `None` if it came to that, `work`'s outcome if it needed no more statements.
    ///
    /// The session may be used again afterwards, for a look at what was left.
    pub async fn cut_off_after<T>(&self, sent: u32, work: impl Future<Output = T>) -> Option<T> {
        self.set(Fault::CutOffAfter(sent));
        let mut state = self.0.subscribe();
        // What it resolves to holds a lock, which a statement that is dropped needs.
        let killed = async { drop(state.wait_for(|state| state.shown && state.under_way == 0).await) };
        let outcome = tokio::select! {
            biased;
            () = killed => None,
            outcome = work => Some(outcome),
        };
        self.clear();
        outcome
    }

    /// Does `work`, the `number`-th of whose statements (from 1) is carried out, but its answer never comes: it fails. With the
    /// outcome comes whether there were that many.
    pub async fn lose_answer<T>(&self, number: u32, work: impl Future<Output = T>) -> (T, bool) {
        self.during(Fault::LoseAnswer(number), work).await
    }

    /// As [`lose_answer`](Self::lose_answer), but the statement gets lost on its way there: it is not carried out.
    pub async fn lose_statement<T>(&self, number: u32, work: impl Future<Output = T>) -> (T, bool) {
        self.during(Fault::LoseStatement(number), work).await
    }

    /// Does `work`, of whose statements each `n`-th gets lost on its way there. With the outcome comes how many there were, the lost ones
    /// included.
    pub async fn lose_each<T>(&self, n: u32, work: impl Future<Output = T>) -> (T, u32) {
        self.set(Fault::LoseEach(n));
        let outcome = work.await;
        (outcome, self.clear().begun)
    }

    /// Does `work`, the `number`-th of whose statements (from 1) is on its way for as long as `meanwhile` takes.
    pub async fn delay<T, M>(
        &self,
        number: u32,
        work: impl Future<Output = T>,
        meanwhile: impl Future<Output = M>,
    ) -> (T, M) {
        self.set(Fault::Delay(number));
        let mut state = self.0.subscribe();
        let meanwhile = async {
            // The sender is our own.
            state.wait_for(|state| state.shown).await.ok();
            let outcome = meanwhile.await;
            self.clear();
            outcome
        };
        tokio::join!(work, meanwhile)
    }

    async fn during<T>(&self, fault: Fault, work: impl Future<Output = T>) -> (T, bool) {
        self.set(fault);
        let outcome = work.await;
        (outcome, self.clear().shown)
    }

    fn set(&self, fault: Fault) {
        self.0.send_replace(State { fault: Some(fault), ..State::default() });
    }

    fn clear(&self) -> State {
        self.0.send_replace(State::default())
    }

    /// Passes one statement on, or does to it what is set.
    pub(super) async fn pass<T>(
        &self,
        statement: impl Future<Output = Result<T, ExecutionError>>,
    ) -> Result<T, ExecutionError> {
        match self.begin() {
            Fate::Held => pending().await,
            Fate::Unsent => Err(lost()),
            Fate::Late => {
                self.0.subscribe().wait_for(|state| state.fault.is_none()).await.ok();
                statement.await
            }
            fate => {
                let _under_way = UnderWay(self);
                let answer = statement.await;
                if matches!(fate, Fate::Unanswered) { Err(lost()) } else { answer }
            }
        }
    }

    fn begin(&self) -> Fate {
        let mut fate = Fate::Sent;
        self.0.send_modify(|state| {
            state.begun += 1;
            fate = match state.fault {
                Some(Fault::CutOffAfter(sent)) if state.begun > sent => Fate::Held,
                Some(Fault::LoseAnswer(number)) if state.begun == number => Fate::Unanswered,
                Some(Fault::LoseStatement(number)) if state.begun == number => Fate::Unsent,
                Some(Fault::LoseEach(n)) if state.begun.is_multiple_of(n) => Fate::Unsent,
                Some(Fault::Delay(number)) if state.begun == number => Fate::Late,
                _ => Fate::Sent,
            };
            state.shown |= !matches!(fate, Fate::Sent);
            state.under_way += u32::from(matches!(fate, Fate::Sent | Fate::Unanswered));
        });
        fate
    }
}

/// A statement that was sent, until it ends or nobody waits for it any more.
struct UnderWay<'a>(&'a Faults);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        // One that was sent before the fault was set is not counted.
        self.0.0.send_modify(|state| state.under_way = state.under_way.saturating_sub(1));
    }
}

/// What the driver says of a statement that was not answered in time.
fn lost() -> ExecutionError {
    ExecutionError::RequestTimeout(Duration::ZERO)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    async fn statement(faults: &Faults, done: &Cell<u32>) -> Result<(), ExecutionError> {
        faults
            .pass(async {
                tokio::task::yield_now().await;
                done.set(done.get() + 1);
                Ok(())
            })
            .await
    }

    /// Seen to fail when the end was not put off until what was sent had been answered.
    #[tokio::test]
    async fn a_process_that_is_cut_off_has_done_what_it_sent_and_nothing_else() {
        let (faults, done) = (Faults::default(), Cell::new(0));
        let three = async {
            let (first, second) = tokio::join!(statement(&faults, &done), statement(&faults, &done));
            first.and(second).and(statement(&faults, &done).await)
        };
        assert!(faults.cut_off_after(1, three).await.is_none());
        assert_eq!(done.get(), 1);
        statement(&faults, &done).await.unwrap();
        assert_eq!(done.get(), 2);
        assert!(faults.cut_off_after(1, statement(&faults, &done)).await.unwrap().is_ok());
    }

    /// Seen to fail when every statement from the named one on was lost.
    #[tokio::test]
    async fn one_answer_is_lost_or_one_statement() {
        let (faults, done) = (Faults::default(), Cell::new(0));
        let three = async || [(); 3].map(|()| statement(&faults, &done));
        let each = async || {
            let mut answered = Vec::new();
            for statement in three().await {
                answered.push(statement.await.is_ok());
            }
            answered
        };
        assert_eq!(faults.lose_answer(2, each()).await, (vec![true, false, true], true));
        assert_eq!(done.get(), 3);
        assert_eq!(faults.lose_statement(2, each()).await, (vec![true, false, true], true));
        assert_eq!(done.get(), 5);
        assert_eq!(faults.lose_answer(4, each()).await, (vec![true; 3], false));
        assert_eq!(faults.lose_each(2, each()).await, (vec![true, false, true], 3));
    }
}
