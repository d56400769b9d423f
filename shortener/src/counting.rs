//! The runtime of everything that counts clicks: it gives way to requests.
//!
//! Counting a click costs more than answering it. While the CPU is short, redirects come first: clicks wait in the click log, on
//! disk, and are counted when there is time.

use std::io;

use tokio::runtime::{Builder, Handle, Runtime};

/// The `nice` value of counting, where that of requests is 0: about a tenth of the CPU where both want all of it.
const NICE: i32 = 10;

/// A runtime of low priority. Threads that are started on it, those of SQLite among them, inherit the priority.
pub struct CountingRuntime(Option<Runtime>);

impl CountingRuntime {
    pub fn start() -> io::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("counting")
            .on_thread_start(|| {
                // On Linux a thread has a priority of its own; elsewhere this would slow down the whole process.
                if cfg!(target_os = "linux")
                    && let Err(error) = rustix::process::setpriority_process(None, NICE)
                {
                    tracing::warn!(%error, "counting runs at the priority of requests");
                }
            })
            .enable_all()
            .build()?;
        Ok(CountingRuntime(Some(runtime)))
    }

    pub fn handle(&self) -> &Handle {
        self.0.as_ref().expect("it is there until it is dropped").handle()
    }
}

impl Drop for CountingRuntime {
    fn drop(&mut self) {
        // The last owner may be a task, which must not wait for a runtime to end.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}
