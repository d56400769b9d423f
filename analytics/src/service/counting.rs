//! Counts: waits for the store and the topic, then folds what comes until it is told to stop.

use std::sync::Arc;

use anyhow::Context;

use super::{
    admission::Admission,
    ops::Readiness,
    rollups::{self, RollupsSource},
    waiting::{NotThere, until_there},
};
use crate::{
    consumer::{Consumer, ConsumerOptions},
    engine::Engine,
    kafka::{KafkaOptions, stream::KafkaStream, topic},
    rollups::Rollups,
};

/// What is counted, how, and where to.
pub struct Counting {
    pub clicks: KafkaOptions,
    /// The consumers that share the topic's partitions.
    pub group: String,
    pub rollups: RollupsSource,
    pub consumer: ConsumerOptions,
}

impl Counting {
    /// Opens the store, from which questions are answered from then on; then counts until `stopped`: what was folded is committed, the
    /// group is left, and the store closed.
    ///
    /// # Errors
    /// A sentence for a person: what is needed must not be used, or counting cannot go on. Nothing is lost by it.
    pub async fn run(
        self,
        admission: Arc<Admission>,
        readiness: Readiness,
        stopped: impl Future<Output = ()> + Send,
    ) -> anyhow::Result<()> {
        tokio::pin!(stopped);
        let (store, partitions) = tokio::select! {
            there = self.wait(&admission, &readiness) => there?,
            () = &mut stopped => return Ok(()),
        };
        tracing::info!(clicks = %self.clicks.url, partitions, group = self.group, "counting");
        let stream = KafkaStream::join(&self.clicks, &self.group).context("clicks cannot be read")?;
        let counted = Consumer::run(Box::new(stream), Arc::clone(&store), self.consumer, stopped).await;
        store.close().await;
        Ok(counted?)
    }

    /// Both at once: that there is no topic is told though the store is away, and questions are answered though Kafka is.
    async fn wait(&self, admission: &Admission, readiness: &Readiness) -> anyhow::Result<(Arc<dyn Rollups>, u32)> {
        let store = async {
            let store = until_there("the rollups store", || rollups::open(&self.rollups)).await?;
            admission.open(Arc::new(Engine::new(Arc::clone(&store))));
            readiness.start();
            Ok(store)
        };
        let topic = until_there("Kafka", || async {
            topic::partitions_of_clicks(&self.clicks).await.map_err(|error| match error.is_transient() {
                true => NotThere::Yet(error.into()),
                false => NotThere::Ever(error.into()),
            })
        });
        tokio::try_join!(store, topic)
    }
}
