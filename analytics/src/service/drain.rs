//! Stopping in order: each step has a deadline, and a missed one shows in the exit status.

use std::{fmt::Display, time::Duration};

use tokio::time::timeout;

/// Runs the steps of stopping, and remembers which of them failed.
#[derive(Debug)]
pub struct Drain {
    timeout: Duration,
    failed: Vec<&'static str>,
}

impl Drain {
    /// `timeout` is for each step.
    pub fn new(timeout: Duration) -> Self {
        Drain { timeout, failed: Vec::new() }
    }

    /// Takes one step; a failed one does not keep the others from being taken.
    pub async fn step<E: Display>(&mut self, name: &'static str, step: impl Future<Output = Result<(), E>>) {
        match timeout(self.timeout, step).await {
            Ok(Ok(())) => tracing::debug!(step = name, "stopping"),
            Ok(Err(error)) => {
                tracing::error!(step = name, %error, "a step of stopping failed");
                self.failed.push(name);
            }
            Err(_) => {
                tracing::error!(
                    step = name,
                    timeout_ms = self.timeout.as_millis() as u64,
                    "a step of stopping took too long"
                );
                self.failed.push(name);
            }
        }
    }

    /// Whether all went well.
    pub fn finish(self) -> anyhow::Result<()> {
        anyhow::ensure!(self.failed.is_empty(), "stopped, but not cleanly: {}", self.failed.join(", "));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::{future::pending, io};

    use super::*;

    /// Seen to fail when a step's error was dropped, and when its delay was.
    #[tokio::test(start_paused = true)]
    async fn a_missed_deadline_shows_and_stops_nothing() {
        let mut drain = Drain::new(Duration::from_secs(1));
        drain.step("stuck", pending::<io::Result<()>>()).await;
        drain.step("broken", async { Err(io::Error::other("broken")) }).await;
        let mut taken = false;
        drain
            .step("last", async {
                taken = true;
                io::Result::Ok(())
            })
            .await;
        assert!(taken);
        assert_eq!(drain.finish().unwrap_err().to_string(), "stopped, but not cleanly: stuck, broken");
    }
}
