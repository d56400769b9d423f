//! The salts of the visitor hash, and the file that keeps them over a restart.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use super::visitor::{Salt, period};

/// Periods that have a salt at a time: the current one, the one before for clicks that are enriched late, and the next one, whose salt instances
/// agree on ahead.
pub const MAX_SALTS: usize = 3;

/// How long after its period a salt is kept, in milliseconds: one hour, for clicks that are enriched late.
pub const LATE_MS: i64 = 60 * 60 * 1000;

/// Gives each period its salt.
///
/// A period that has none (a new one, or one whose salt is gone already) gets a new random one: its visitors are told apart, but not
/// recognised from before. So nothing fails and no click is lost, however the clock jumps.
pub trait Salts: Send {
    /// The same for the same period, until it is thrown away.
    fn salt(&mut self, period: u32) -> Salt;

    /// The salt of a period, if it has one.
    fn held(&self, period: u32) -> Option<Salt>;

    /// Gives a period that has none the salt that other instances have, and says whether that is its salt now. One that it has stays to the
    /// end of the period: under another, every visitor of before would count once more.
    fn share(&mut self, period: u32, salt: Salt) -> bool;

    /// Throws away the salts whose period has been over for [`LATE_MS`] at `now_ms` (Unix milliseconds). To be
    /// called now and then, with or without clicks.
    fn expire(&mut self, now_ms: i64);
}

/// Why the file cannot serve; the start stops with this sentence.
#[derive(Debug, thiserror::Error)]
#[error("the visitor salts cannot be kept in {}: {source}", path.display())]
pub struct SaltFileError {
    path: PathBuf,
    source: io::Error,
}

/// Salts in a small file that only the owner may read, for one process.
///
/// The file is replaced as a whole and flushed to disk at each change, of which a period has a few. It begins with
/// [`MAGIC`]; then each salt follows its period (little-endian), the one used last first. When it cannot be written, the salts go on in
/// memory: that is logged, counted (`septet_visitor_salt_failures_total`), and tried again at the next change.
pub struct FileSalts {
    path: PathBuf,
    /// The one used last first; at most [`MAX_SALTS`].
    held: Vec<(u32, Salt)>,
}

const MAGIC: &[u8; 8] = b"SEPSALT1";
const ENTRY_BYTES: usize = size_of::<u32>() + size_of::<Salt>();

impl FileSalts {
    /// Opens the file, or makes it. A damaged one is replaced, with a warning: visitors of its period count as new ones. Salts whose
    /// time is over at `now_ms` (Unix milliseconds) are thrown away.
    pub fn open(path: &Path, now_ms: i64) -> Result<Self, SaltFileError> {
        let failed = |source| SaltFileError { path: path.to_owned(), source };
        let held = match fs::read(path) {
            Ok(bytes) => decode(&bytes).unwrap_or_else(|| {
                tracing::warn!(path = %path.display(), "the file of visitor salts is damaged: starting with new ones");
                metrics::counter!("septet_visitor_salt_failures_total", "operation" => "read").increment(1);
                Vec::new()
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(failed(error)),
        };
        let mut salts = FileSalts { path: path.to_owned(), held };
        salts.held.retain(|&(period, _)| !is_over(period, now_ms));
        // Written even if nothing changed, so that a folder that cannot be written to shows at the start.
        salts.write().map_err(failed)?;
        Ok(salts)
    }

    /// As the one used last.
    fn put(&mut self, period: u32, salt: Salt) {
        self.held.truncate(MAX_SALTS - 1);
        self.held.insert(0, (period, salt));
        self.save();
    }

    fn save(&self) {
        if let Err(error) = self.write() {
            tracing::error!(path = %self.path.display(), %error, "the visitor salts could not be saved: they go on in memory");
            metrics::counter!("septet_visitor_salt_failures_total", "operation" => "write").increment(1);
        }
    }

    fn write(&self) -> io::Result<()> {
        let beside = self.path.with_extension("new");
        // A leftover may have another mode, which opening it again would keep.
        match fs::remove_file(&beside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
        file.write_all(&encode(&self.held))?;
        file.sync_all()?;
        fs::rename(&beside, &self.path)?;
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
    }
}

impl Salts for FileSalts {
    fn salt(&mut self, period: u32) -> Salt {
        match self.held.iter().position(|&(held, _)| held == period) {
            Some(position) => self.held[..=position].rotate_right(1),
            None => self.put(period, rand::random()),
        }
        self.held[0].1
    }

    fn held(&self, period: u32) -> Option<Salt> {
        self.held.iter().find(|&&(held, _)| held == period).map(|&(_, salt)| salt)
    }

    fn share(&mut self, period: u32, salt: Salt) -> bool {
        if let Some(held) = self.held(period) {
            return held == salt;
        }
        self.put(period, salt);
        true
    }

    fn expire(&mut self, now_ms: i64) {
        if self.held.iter().any(|&(period, _)| is_over(period, now_ms)) {
            self.held.retain(|&(period, _)| !is_over(period, now_ms));
            self.save();
        }
    }
}

fn is_over(of: u32, now_ms: i64) -> bool {
    of < period(now_ms.saturating_sub(LATE_MS))
}

fn encode(held: &[(u32, Salt)]) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    for (period, salt) in held {
        bytes.extend_from_slice(&period.to_le_bytes());
        bytes.extend_from_slice(salt);
    }
    bytes
}

fn decode(bytes: &[u8]) -> Option<Vec<(u32, Salt)>> {
    let (entries, rest) = bytes.strip_prefix(MAGIC)?.as_chunks::<ENTRY_BYTES>();
    if !rest.is_empty() || entries.len() > MAX_SALTS {
        return None;
    }
    let decode_entry = |entry: &[u8; ENTRY_BYTES]| {
        let (period, salt) = entry.split_first_chunk::<4>()?;
        Some((u32::from_le_bytes(*period), salt.try_into().ok()?))
    };
    entries.iter().map(decode_entry).collect()
}
