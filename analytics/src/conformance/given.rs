//! A stream of clicks that are given to it.

use std::{collections::VecDeque, time::Duration};

use async_trait::async_trait;

use crate::stream::{Batch, ClickStream, Delivery, Progress, Sequenced, Source, StreamError};

/// Delivers the given clicks, once.
#[derive(Debug)]
pub struct Given {
    source: Source,
    opened: bool,
    clicks: VecDeque<Sequenced>,
}

impl Given {
    pub fn new(source: Source, clicks: VecDeque<Sequenced>) -> Self {
        Given { source, opened: false, clicks }
    }
}

#[async_trait]
impl ClickStream for Given {
    async fn next(&mut self, max: usize, _: Duration) -> Result<Delivery, StreamError> {
        if !std::mem::replace(&mut self.opened, true) {
            return Ok(Delivery::Opened(self.source.clone()));
        }
        let clicks: Vec<_> = self.clicks.drain(..max.min(self.clicks.len())).collect();
        let Some(last) = clicks.last() else { return Ok(Delivery::Nothing) };
        let through = last.sequence;
        Ok(Delivery::Clicks(Batch { source: self.source.clone(), clicks, through, gone: Vec::new(), sent_in: None }))
    }

    async fn begin(&mut self, _: &Source, _: &Progress) -> Result<(), StreamError> {
        Ok(())
    }

    async fn release(&mut self, _: &Source, _: &Progress) -> Result<(), StreamError> {
        Ok(())
    }

    fn end(&mut self) {}

    async fn is_drained(&mut self) -> bool {
        self.clicks.is_empty()
    }
}
