//! The click path of an instance: its click log, and the consumer that counts what is in it.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use analytics::{
    click_log::{self, ClickLogs},
    consumer::{Consumer, ConsumerOptions},
    enrich::{EnrichSettings, Enricher, salts::FileSalts},
    local::{self, LocalStream},
    rollups::Rollups,
    stream::Source,
};
use anyhow::Context;
use parking_lot::Mutex;
use tokio::{sync::watch, task::JoinHandle};

use crate::{clock, settings::Settings};

/// The click log's folder in the data directory.
const FOLDER: &str = "clicks";
/// The file of visitor salts in the data directory.
const SALTS: &str = "visitor-salts";

/// How often it is looked whether a visitor salt's time is over.
const SALT_EXPIRY_INTERVAL: Duration = Duration::from_secs(10 * 60);

/// A click log, and the task that counts what it holds.
pub struct Clicks {
    logs: Arc<ClickLogs>,
    enricher: Arc<Mutex<Enricher>>,
    stop: watch::Sender<bool>,
    consumer: JoinHandle<()>,
}

impl Clicks {
    /// Opens the click log and counts what it holds, from where `rollups` ends: clicks of earlier processes first.
    pub async fn start(settings: &Settings, data_dir: &Path, rollups: Arc<dyn Rollups>) -> anyhow::Result<Self> {
        let folder: PathBuf = data_dir.join(FOLDER);
        let options =
            click_log::Options { disk_max_bytes: settings.click_log_max_bytes, ..click_log::Options::default() };
        let logs = Arc::new(ClickLogs::open(&folder, options).context("the click log cannot be opened")?);
        let enricher =
            EnrichSettings { geoip_db: settings.geoip_db.clone(), trusted_proxies: settings.trusted_proxies.clone() };
        let salts = FileSalts::open(&data_dir.join(SALTS), clock::now_ms())?;
        let enricher = Arc::new(Mutex::new(Enricher::new(enricher, salts)?));
        let enrich = Arc::clone(&enricher);
        let progress = rollups.progress(&Source(local::SOURCE.to_owned())).await?;
        let stream = LocalStream::open(
            logs.reader().context("the click log cannot be read")?,
            move |raw, log, offset| enrich.lock().enrich(raw, log, offset),
            &progress,
        );
        let (stop, mut stopped) = watch::channel(false);
        let stopped = async move {
            // An error says that the sender is gone, and with it whoever wanted the counting.
            let _ = stopped.wait_for(|stop| *stop).await;
        };
        // Compiling the patterns takes a moment, which no start should wait for.
        std::thread::Builder::new().name("enrich-warm-up".to_owned()).spawn(Enricher::warm_up)?;
        let consumer = tokio::spawn(Consumer::run(Box::new(stream), rollups, ConsumerOptions::default(), stopped));
        Ok(Clicks { logs, enricher, stop, consumer })
    }

    /// Where worker threads get their logs.
    pub fn logs(&self) -> Arc<ClickLogs> {
        Arc::clone(&self.logs)
    }

    /// Throws visitor salts away when their time is over, whether or not there are clicks. Resolves if counting ends on its
    /// own, which is a fault.
    pub async fn ended(&mut self) {
        let mut expiry = tokio::time::interval(SALT_EXPIRY_INTERVAL);
        loop {
            tokio::select! {
                ended = &mut self.consumer => {
                    if let Err(error) = ended {
                        tracing::error!(%error, "the task that counts clicks failed");
                    }
                    return;
                }
                _ = expiry.tick() => self.enricher.lock().expire_salts(clock::now_ms()),
            }
        }
    }

    /// Counts what is left, once no worker appends any more, and closes the click log.
    pub async fn drain(self) -> anyhow::Result<()> {
        self.stop.send_replace(true);
        self.consumer.await.context("the task that counts clicks failed")?;
        tokio::task::spawn_blocking(move || self.logs.close()).await?.context("the click log did not close cleanly")
    }
}
