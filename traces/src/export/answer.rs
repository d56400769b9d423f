//! What a collector answered to a batch: the exporter of the SDK tells neither why a call failed nor which spans were rejected.

use std::{error::Error, sync::Arc};

use opentelemetry_http::{Bytes, Response};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use parking_lot::Mutex;
use prost::Message;

/// How much of what a collector or a library says is logged, in characters.
const WHY_CHARS_MAX: usize = 512;

/// What an answer says beside its status.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Answer {
    /// So many spans of the batch were not taken, though the batch was.
    pub rejected: usize,
    /// Why, or why there was no answer at all.
    pub why: Option<String>,
}

impl Answer {
    /// There was none.
    pub fn none(error: &(dyn Error + 'static)) -> Self {
        let (mut why, mut cause) = (error.to_string(), error.source());
        while let Some(error) = cause {
            why = format!("{why}: {error}");
            cause = error.source();
        }
        Answer { rejected: 0, why: Some(sentence(&why)) }
    }

    /// There was one. A batch that was not taken as a whole says so by its status.
    pub fn read(response: &Response<Bytes>) -> Self {
        if !response.status().is_success() {
            return Answer::default();
        }
        // Some answer 200 with something else, and mean the same.
        let Ok(answer) = ExportTraceServiceResponse::decode(response.body().clone()) else { return Answer::default() };
        let Some(partial) = answer.partial_success else { return Answer::default() };
        let why = sentence(&partial.error_message);
        Answer { rejected: usize::try_from(partial.rejected_spans).unwrap_or(0), why: (!why.is_empty()).then_some(why) }
    }
}

/// What somebody else said, so that it fits into a line of the log.
fn sentence(said: &str) -> String {
    said.chars().map(|char| if char.is_control() { ' ' } else { char }).take(WHY_CHARS_MAX).collect()
}

/// Hands the answer to the one batch that is being sent to the one who counts.
#[derive(Debug, Default, Clone)]
pub(super) struct LastAnswer(Arc<Mutex<Answer>>);

impl LastAnswer {
    pub fn set(&self, answer: Answer) {
        *self.0.lock() = answer;
    }

    pub fn take(&self) -> Answer {
        std::mem::take(&mut self.0.lock())
    }
}
