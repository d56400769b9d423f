//! The topics of Kafka: made by `migrate`, looked at by a start.

use std::path::Path;

use analytics::kafka::{forwarder, topic};

use crate::{
    changes,
    settings::{Settings, Topics},
};

/// Makes the topics that are not there, and says so.
pub(super) async fn migrate(settings: &Settings) -> anyhow::Result<()> {
    let Some(Topics { clicks, changes }) = settings.clicks.topics()? else { return Ok(()) };
    forwarder::check(&clicks).await?;
    let replication_factor = settings.links.replication_factor;
    println!("{}", topic::prepare_clicks(&clicks, settings.clicks.topic(replication_factor)).await?);
    println!("{}", topic::prepare(&changes, changes::topic_settings(replication_factor)).await?);
    Ok(())
}

/// Fails if a topic is missing or would not keep clicks, if the clicks of this data directory went to another one, or if no producer can be set up
/// as the properties say. A Kafka that is away holds nobody up: clicks wait in the click log.
pub async fn look(Topics { clicks, changes }: &Topics, data_dir: &Path) -> anyhow::Result<()> {
    forwarder::check_folder(clicks, data_dir)?;
    forwarder::check(clicks).await?;
    let looked = async {
        topic::partitions_of_clicks(clicks).await?;
        topic::partitions(changes).await
    };
    match looked.await {
        Ok(_) => Ok(()),
        Err(error) if error.is_transient() => {
            tracing::warn!(%error, "Kafka is away; clicks wait in the click log, and changes of others are seen later");
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::settings::Cli;

    /// Neither needs a Kafka for it. Seen to fail when a consumer alone was made, which takes this property.
    #[tokio::test]
    async fn a_property_that_no_producer_takes_ends_a_start_and_a_migration() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "queue.buffering.backpressure.threshold=5\n").unwrap();
        let properties = file.path().to_str().unwrap();
        let flags = ["septet", "--clicks", "kafka://127.0.0.1:1/clicks", "--kafka-properties", properties];
        let settings = Cli::parse_from(flags).settings;
        let topics = settings.clicks.topics().unwrap().unwrap();
        let start = look(&topics, Path::new("nowhere")).await.unwrap_err().to_string();
        let migration = migrate(&settings).await.unwrap_err().to_string();
        for said in [start, migration] {
            assert!(said.contains("--kafka-properties") && said.contains("backpressure.threshold"), "{said}");
        }
    }

    /// Clicks that wait for one topic do not go to another one, and nobody finds that out by clicks that are dropped.
    ///
    /// Seen to fail when it was looked at by the forwarder alone.
    #[tokio::test]
    async fn another_topic_ends_a_start() {
        let folder = tempfile::tempdir().unwrap();
        let known = r#"{"topic": "before", "partitions": 4, "acknowledged": {}}"#;
        std::fs::write(folder.path().join("forwarding.json"), known).unwrap();
        let settings = Cli::parse_from(["septet", "--clicks", "kafka://127.0.0.1:1/clicks"]).settings;
        let topics = settings.clicks.topics().unwrap().unwrap();
        let said = look(&topics, folder.path()).await.unwrap_err().to_string();
        assert!(said.contains(r#"sent to the topic "before""#), "{said}");
    }
}
