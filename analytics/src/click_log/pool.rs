//! Files for segments: within the limit on disk, and used again.

use std::{fs, io, path::Path};

use parking_lot::Mutex;

use super::{
    Options,
    folder::Folder,
    metrics::Metrics,
    segment::{Segment, Spare},
};
use crate::click::LogId;

/// How many trimmed segments are kept to be used again; more are deleted.
pub const SPARES_MAX: usize = 4;

/// Hands out segments, and takes them back.
pub struct Pool {
    pub folder: Folder,
    segment_bytes: u64,
    disk_max_bytes: u64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The length of all files in the folder.
    disk_bytes: u64,
    spares: Vec<Spare>,
}

/// Why there is no segment.
#[derive(Debug, thiserror::Error)]
pub enum NoSegment {
    #[error("it has reached its limit on disk, disk_max_bytes")]
    Limit,
    #[error("{0}")]
    Disk(#[from] io::Error),
}

impl Pool {
    /// `disk_bytes` are taken already, by old logs.
    pub fn new(folder: Folder, options: &Options, disk_bytes: u64) -> Self {
        let state = Mutex::new(State { disk_bytes, spares: Vec::new() });
        Self { folder, segment_bytes: options.segment_bytes, disk_max_bytes: options.disk_max_bytes, state }
    }

    pub fn show(&self, metrics: &Metrics) {
        metrics.disk_bytes.set(self.state.lock().disk_bytes as f64);
    }

    #[cfg(test)]
    pub fn disk_bytes(&self) -> u64 {
        self.state.lock().disk_bytes
    }

    /// A segment for `log`, ready to be written, its header and its name durable.
    pub fn acquire(&self, log: LogId, base: u64) -> Result<Segment, NoSegment> {
        let mut spare = self.spare()?;
        let path = self.folder.segment(log, base);
        let prepared =
            spare.prepare(log, base).and_then(|()| fs::rename(&spare.path, &path)).and_then(|()| self.folder.sync());
        if let Err(error) = prepared {
            // Whichever of the two names it bears by now.
            for path in [&spare.path, &path] {
                let _ = fs::remove_file(path);
            }
            self.state.lock().disk_bytes -= self.segment_bytes;
            return Err(error.into());
        }
        Ok(spare.into_segment(base, path))
    }

    fn spare(&self) -> Result<Spare, NoSegment> {
        {
            let mut state = self.state.lock();
            if let Some(spare) = state.spares.pop() {
                return Ok(spare);
            }
            if state.disk_bytes + self.segment_bytes > self.disk_max_bytes {
                return Err(NoSegment::Limit);
            }
            state.disk_bytes += self.segment_bytes;
        }
        Spare::create(self.folder.spare(), self.segment_bytes).map_err(|error| {
            self.state.lock().disk_bytes -= self.segment_bytes;
            error.into()
        })
    }

    /// Takes back a segment that nobody needs any more. Once this has answered, no power failure brings it back under
    /// its old name.
    pub fn recycle(&self, segment: &Segment) -> io::Result<()> {
        let keep = {
            let state = self.state.lock();
            state.spares.len() < SPARES_MAX && state.disk_bytes <= self.disk_max_bytes
        };
        if !keep {
            return self.delete(&segment.path, segment.bytes() as u64);
        }
        let spare = self.folder.spare();
        let renamed = there(fs::rename(&segment.path, &spare))?;
        // Before anybody overwrites the header: a file under its old name with another log's header would stop the next
        // start.
        self.folder.sync()?;
        if renamed {
            self.state.lock().spares.push(segment.as_spare(spare));
        }
        Ok(())
    }

    /// Deletes a file of `bytes`, for good.
    pub fn delete(&self, path: &Path, bytes: u64) -> io::Result<()> {
        if there(fs::remove_file(path))? {
            self.state.lock().disk_bytes -= bytes;
        }
        self.folder.sync()
    }
}

/// Whether the file was there: it is not when an earlier try got as far as that, and failed to make it durable.
fn there(result: io::Result<()>) -> io::Result<bool> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        result => result.map(|()| true),
    }
}
