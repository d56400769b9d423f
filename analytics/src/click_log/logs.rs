//! The click logs of a process: opens the folder, hands out writers and the reader, and owns the background threads.

use std::{
    io,
    path::Path,
    sync::{Arc, atomic::Ordering},
    thread::JoinHandle,
};

use parking_lot::Mutex;

use super::{ClickReader, ClickWriter, Error, Options, background, shared::Shared};

/// All click logs in a folder: one for each process, shared by its threads.
pub struct ClickLogs {
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl ClickLogs {
    /// Opens the folder and takes possession of it; it is made if it is not there. Starts the two background threads.
    ///
    /// # Errors
    /// Another process has the folder; a file in it is not a segment of this version or an older one; an option is out
    /// of bounds; the file system fails.
    pub fn open(folder: &Path, options: Options) -> Result<Self, Error> {
        let shared = Arc::new(Shared::open(folder, options)?);
        let threads = background::start(&shared).map_err(|source| Error::Io {
            doing: "start the threads of",
            path: "the click log".into(),
            source,
        })?;
        Ok(Self { shared, threads: Mutex::new(threads) })
    }

    /// Makes a new log, and its writer, for the calling thread to keep. With no room on the disk the writer is made all
    /// the same, and answers [`LogFull`](super::LogFull) until there is room.
    ///
    /// # Errors
    /// `disk_max_bytes` does not hold two segments for each writer.
    pub fn writer(&self) -> Result<ClickWriter, Error> {
        let (log, next) = self.shared.new_log()?;
        let writer = ClickWriter::new(Arc::clone(&self.shared), log, next);
        self.shared.wake_preparer();
        Ok(writer)
    }

    /// The reader of all logs: one at a time.
    ///
    /// # Errors
    /// There is one.
    pub fn reader(&self) -> Result<ClickReader, Error> {
        let old = self.shared.take_old().ok_or(Error::ReaderInUse)?;
        Ok(ClickReader::new(Arc::clone(&self.shared), old))
    }

    /// Joins the background threads and flushes what was appended. Drop the writers first: what is appended later is
    /// not flushed, but by the kernel in its time.
    ///
    /// # Errors
    /// The last flush failed.
    pub fn close(&self) -> io::Result<()> {
        self.shared.stopping.store(true, Ordering::Release);
        for thread in self.threads.lock().drain(..) {
            thread.thread().unpark();
            if thread.join().is_err() {
                tracing::error!("a background thread of the click log had panicked");
            }
        }
        self.shared.flush()
    }

    #[cfg(test)]
    pub(super) fn shared(&self) -> &Shared {
        &self.shared
    }
}

impl Drop for ClickLogs {
    fn drop(&mut self) {
        if let Err(error) = self.close() {
            tracing::error!(%error, "the click log could not be flushed at the end");
        }
    }
}
