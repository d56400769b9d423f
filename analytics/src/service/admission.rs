//! Lets questions through to the engine: so many at once, each for so long.
//!
//! Each is a task of the service's own runtime: reading rows is work, for which no other question of the asking thread should wait. When
//! its caller goes away or its time is over, it is dropped.

use std::{
    error::Error as StdError,
    sync::{Arc, OnceLock},
    time::Duration,
};

use tokio::{
    runtime::Handle,
    sync::Semaphore,
    task::{JoinError, JoinSet},
    time::timeout,
};

use traces::Kind;

use super::metrics;
use crate::query::{Queries, QueryError};

/// Questions that are answered at once. One more is [`Refused::Overloaded`].
pub const QUERIES_MAX: usize = 256;

/// How long a question may take. Less than the client waits, so that it hears of it.
pub const QUERY_TIMEOUT: Duration = Duration::from_secs(2);

/// The engine as the handlers see it. Until there is one, every question is [`Refused::Unavailable`].
pub struct Admission {
    runtime: Handle,
    engine: OnceLock<Arc<dyn Queries>>,
    permits: Arc<Semaphore>,
}

/// Why a question got no answer.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    #[error("{0}")]
    Invalid(String),
    #[error("{QUERIES_MAX} questions are asked at once already")]
    Overloaded,
    #[error("{0}")]
    Unavailable(#[source] Box<dyn StdError + Send + Sync>),
}

/// Why a question was given up.
#[derive(Debug, thiserror::Error)]
enum GivenUp {
    #[error("the rollups could not be read since the start")]
    NotOpen,
    #[error("no answer within {} seconds", QUERY_TIMEOUT.as_secs())]
    Late,
    #[error("the question ended early: {0}")]
    Ended(JoinError),
}

impl From<GivenUp> for Refused {
    fn from(why: GivenUp) -> Self {
        Refused::Unavailable(Box::new(why))
    }
}

impl From<QueryError> for Refused {
    fn from(error: QueryError) -> Self {
        match error {
            QueryError::Invalid(what) => Refused::Invalid(what),
            QueryError::Unavailable(cause) => Refused::Unavailable(cause),
        }
    }
}

impl Admission {
    /// Without an engine yet; questions will run on `runtime`.
    pub fn new(runtime: Handle) -> Self {
        metrics::queries_max(QUERIES_MAX);
        Admission { runtime, engine: OnceLock::new(), permits: Arc::new(Semaphore::new(QUERIES_MAX)) }
    }

    /// Gives it the engine, once.
    pub fn open(&self, engine: Arc<dyn Queries>) {
        let again = self.engine.set(engine).is_err();
        assert!(!again, "there is one engine");
    }

    /// Asks the engine.
    pub async fn ask<T, F>(&self, question: impl FnOnce(Arc<dyn Queries>) -> F) -> Result<T, Refused>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, QueryError>> + Send + 'static,
    {
        let engine = self.engine.get().ok_or(GivenUp::NotOpen)?;
        let permit = Arc::clone(&self.permits).try_acquire_owned().map_err(|_| Refused::Overloaded)?;
        let under_way = metrics::QueryUnderWay::begin();
        let question = question(Arc::clone(engine));
        let span = traces::child(Kind::INTERNAL, "read the rollups");
        // Dropped with its caller, the task is aborted.
        let mut task = JoinSet::new();
        let until_done = async move {
            let _until_done = (permit, under_way);
            question.await
        };
        task.spawn_on(until_done, &self.runtime);
        let answered = match timeout(QUERY_TIMEOUT, task.join_next()).await {
            Ok(ended) => match ended.expect("there is one task") {
                Ok(answered) => answered.map_err(Refused::from),
                Err(ended) => Err(GivenUp::Ended(ended).into()),
            },
            Err(_) => Err(GivenUp::Late.into()),
        };
        // A refusal is an answer.
        if matches!(answered, Err(Refused::Unavailable(_))) {
            span.failed();
        }
        answered
    }
}

#[cfg(test)]
mod tests {
    use traces::testing::Trace;

    use super::*;
    use crate::query::{Answer, Links, Query, Totals};

    /// Its store never answers.
    struct Silent;

    #[async_trait::async_trait]
    impl Queries for Silent {
        async fn answer(&self, _: &Query) -> Result<Answer, QueryError> {
            std::future::pending().await
        }

        async fn totals(&self, _: &[u64]) -> Result<Vec<Totals>, QueryError> {
            Err(QueryError::Invalid("told to be wrong".to_owned()))
        }

        async fn first_click_ms(&self, _: &Links) -> Result<Option<i64>, QueryError> {
            std::future::pending().await
        }
    }

    /// Seen to fail when the question's own task had its span, and when a question that is wrong had failed.
    #[tokio::test(start_paused = true)]
    async fn a_question_without_an_answer_shows_as_failed_in_traces() {
        let (admission, trace) = (Admission::new(Handle::current()), Trace::begin());
        admission.open(Arc::new(Silent));
        let span = trace.span();
        let wrong = admission.ask(|engine| async move { engine.totals(&[1]).await });
        assert!(matches!(span.around(wrong).await, Err(Refused::Invalid(_))));
        let late = admission.ask(|engine| async move { engine.first_click_ms(&Links::All).await });
        assert!(matches!(span.around(late).await, Err(Refused::Unavailable(_))));
        assert_eq!(trace.failures("read the rollups"), [false, true]);
    }
}
