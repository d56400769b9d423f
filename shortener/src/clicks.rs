//! The click path of an instance: its click log, and the task that counts what is in it, or sends it on.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use analytics::{
    click_log::{self, ClickLogs, SEGMENT_MIN_BYTES},
    consumer::{Consumer, ConsumerOptions},
    enrich::{EnrichSettings, Enricher, salts::FileSalts},
    kafka::{KafkaOptions, forwarder::Forwarder},
    local::LocalStream,
    rollups::Rollups,
};
use anyhow::Context;
use parking_lot::Mutex;
use tokio::{runtime::Handle, sync::watch, task::JoinHandle, time::timeout};

use crate::{clock, settings::Settings, store::VisitorSalts};

mod salts;

use salts::SaltUpkeep;

/// The click log's folder in the data directory.
const FOLDER: &str = "clicks";
/// The file of visitor salts in the data directory.
const SALTS: &str = "visitor-salts";

const UNREADABLE: &str = "the click log cannot be read";

/// What becomes of the clicks in the click log.
pub enum Way {
    /// They are counted here.
    Count(Arc<dyn Rollups>),
    /// They are written to a topic.
    Forward(KafkaOptions),
}

/// A click log, and the task that takes clicks from it.
pub struct Clicks {
    logs: Arc<ClickLogs>,
    salts: SaltUpkeep,
    stop: watch::Sender<bool>,
    /// Whether they are sent on, not counted here.
    forwards: bool,
    /// `None` once it has ended on its own.
    task: Option<JoinHandle<anyhow::Result<()>>>,
}

impl Clicks {
    /// Opens the click log, and takes from it what it holds: clicks of earlier processes first. Where there are other instances, `shared_salts` are
    /// asked for first, which takes a few seconds at most.
    pub async fn start(
        settings: &Settings,
        data_dir: &Path,
        way: Way,
        shared_salts: Option<Arc<dyn VisitorSalts>>,
        runtime: &Handle,
    ) -> anyhow::Result<Self> {
        let folder: PathBuf = data_dir.join(FOLDER);
        let options = click_log_options(settings.click_log_max_bytes, settings.workers());
        let logs = Arc::new(ClickLogs::open(&folder, options).context("the click log cannot be opened")?);
        let enricher =
            EnrichSettings { geoip_db: settings.geoip_db.clone(), trusted_proxies: settings.trusted_proxies.clone() };
        let salts = FileSalts::open(&data_dir.join(SALTS), clock::now_ms())?;
        let enricher = Arc::new(Mutex::new(Enricher::new(enricher, salts)?));
        let mut salts = SaltUpkeep::new(Arc::clone(&enricher), shared_salts);
        salts.begin().await;
        let open = {
            let logs = Arc::clone(&logs);
            move || {
                let enricher = Arc::clone(&enricher);
                let reader = logs.reader()?;
                Ok(LocalStream::open(reader, move |raw, log, offset| enricher.lock().enrich(raw, log, offset)))
            }
        };
        let (stop, mut stopped) = watch::channel(false);
        let stopped = async move {
            // An error says that the sender is gone, and with it whoever wanted the clicks.
            let _ = stopped.wait_for(|stop| *stop).await;
        };
        let (data_dir, forwards) = (data_dir.to_owned(), matches!(way, Way::Forward(_)));
        let task = async move {
            // Compiling the patterns takes a moment, which no start should wait for, and no click either.
            if let Err(error) = tokio::task::spawn_blocking(Enricher::warm_up).await {
                tracing::error!(%error, "the patterns for User-Agents could not be compiled");
            }
            match way {
                Way::Count(rollups) => {
                    let stream: LocalStream = open().map_err(|error: click_log::Error| error).context(UNREADABLE)?;
                    Ok(Consumer::run(Box::new(stream), rollups, ConsumerOptions::default(), stopped).await?)
                }
                Way::Forward(topic) => {
                    Forwarder::new(topic, data_dir, Box::new(open)).run(stopped).await;
                    Ok(())
                }
            }
        };
        let task = runtime.spawn(task);
        Ok(Clicks { logs, salts, stop, forwards, task: Some(task) })
    }

    /// Where worker threads get their logs.
    pub fn logs(&self) -> Arc<ClickLogs> {
        Arc::clone(&self.logs)
    }

    /// Sees to the visitor salts, whether or not there are clicks. Resolves if the task ends on its own, which is a fault.
    pub async fn ended(&mut self) {
        let Some(task) = &mut self.task else { return };
        let ended = tokio::select! {
            ended = task => ended,
            never = self.salts.keep() => match never {},
        };
        match ended {
            Ok(Err(error)) => tracing::error!("clicks are not taken from the click log any more: {error:#}"),
            Err(error) => tracing::error!(%error, "the task that takes clicks from the click log failed"),
            Ok(Ok(())) => {}
        }
        self.task = None;
    }

    /// Takes what is left, once no worker appends any more, for as long as `patience` lasts, and closes the click log. What is
    /// not counted or sent by then stays in it for the next start: nothing is lost as long as the data directory is not.
    pub async fn drain(mut self, patience: Duration) -> anyhow::Result<()> {
        self.stop.send_replace(true);
        if let Some(mut task) = self.task.take() {
            match timeout(patience, &mut task).await {
                Ok(ended) => ended.context("the task that takes clicks from the click log failed")??,
                Err(_) => {
                    task.abort();
                    let _ = task.await;
                    // Where clicks are sent on, there may be no next start on this directory, as of a pod that is gone.
                    if self.forwards {
                        tracing::warn!(
                            "clicks that Kafka did not get are left in the data directory, for the next start there"
                        );
                    } else {
                        tracing::info!("clicks are left in the click log for the next start");
                    }
                }
            }
        }
        tokio::task::spawn_blocking(move || self.logs.close()).await?.context("the click log did not close cleanly")
    }
}

/// Segments of the usual size, or smaller ones where the limit would not hold four for each worker: one that is written, one that is
/// ready, and as much again that waits to be counted.
fn click_log_options(disk_max_bytes: u64, workers: usize) -> click_log::Options {
    let usual = click_log::Options::default();
    let share = disk_max_bytes / (4 * workers as u64) / SEGMENT_MIN_BYTES * SEGMENT_MIN_BYTES;
    click_log::Options { disk_max_bytes, segment_bytes: share.clamp(SEGMENT_MIN_BYTES, usual.segment_bytes), ..usual }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seen to fail when segments were always of the usual size.
    #[test]
    fn the_limit_holds_the_segments_of_every_worker() {
        for workers in [1, 2, 16, 64, 512] {
            let options = click_log_options(1 << 30, workers);
            assert!(options.segment_bytes * 4 * workers as u64 <= 1 << 30, "{workers}: {options:?}");
            assert!(
                options.segment_bytes >= SEGMENT_MIN_BYTES && options.segment_bytes.is_multiple_of(SEGMENT_MIN_BYTES)
            );
        }
        assert_eq!(click_log_options(1 << 30, 2).segment_bytes, 16 << 20);
    }
}
