//! The topics of Kafka: made by `migrate`, looked at by a start.

use analytics::kafka::{
    KafkaOptions,
    topic::{self, Prepared, TopicError, TopicSettings},
};

use crate::{
    changes,
    settings::{Settings, Topics},
};

/// Makes the topics that are not there, and says so.
pub(super) async fn migrate(settings: &Settings) -> anyhow::Result<()> {
    let Some(Topics { clicks, changes }) = settings.clicks.topics()? else { return Ok(()) };
    let replication_factor = settings.links.replication_factor;
    prepare(&clicks, TopicSettings::of_clicks(settings.clicks.partitions, replication_factor)).await?;
    prepare(&changes, changes::topic_settings(replication_factor)).await
}

async fn prepare(options: &KafkaOptions, settings: TopicSettings) -> anyhow::Result<()> {
    match topic::prepare(options, settings).await? {
        Prepared::Made => println!("{}: made, with {} partitions", options.url, settings.partitions),
        Prepared::There { partitions } => println!("{}: there already, with {partitions} partitions", options.url),
    }
    Ok(())
}

/// Fails if a topic is missing. A Kafka that is away holds nobody up: clicks wait in the click log.
pub async fn look(Topics { clicks, changes }: &Topics) -> Result<(), TopicError> {
    for options in [clicks, changes] {
        match topic::partitions(options).await {
            Ok(_) => {}
            Err(error) if error.is_transient() => {
                tracing::warn!(%error, "Kafka is away; clicks wait in the click log, and changes of others are seen later");
                return Ok(());
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
