//! What has been counted of each source: the table `progress`.
//!
//! Both columns are written by one statement, so a replica has both of a commit or none, and of two commits that a read finds the one with
//! the higher watermark wins in both.
//!
//! **Of two commits with the same watermark** the one that knows of fewer logs must win: between them some logs were found to be
//! gone, and nothing else changed, as an offset moves with the watermark only. Of two values with one timestamp the cluster keeps
//! the one whose bytes are greater, on every replica and in every read. So the blob begins with how many logs it is
//! *short* of the most that there can be: fewer logs are greater bytes. The outcome hangs on what was written alone, and not on
//! when it came, or from whom: whoever is late, by a minute or as a zombie, with the longer list finds the shorter one in place. And
//! either list would be right: of a log that is gone nothing comes, so what it says of that log is never asked for.

use std::{collections::BTreeMap, sync::Arc};

use super::unreadable;
use crate::{
    click::LogId,
    cql::{Cql, CqlError, Kind, Statement},
    rollups::{RollupsError, stored::number},
    stream::{Progress, Source},
};

/// The first byte of a blob. A later version must be a greater one, for its blobs to win over those of this one.
const VERSION: u8 = 1;

/// The bytes that tell how many logs there are.
const COUNT_BYTES: usize = size_of::<u32>();

pub(super) struct Table {
    cql: Arc<Cql>,
    write: Statement,
    read: Statement,
}

/// Logs that cannot be read.
#[derive(Debug, thiserror::Error)]
enum LogsError {
    #[error("a progress is of version {0}, which this program does not know")]
    Version(u8),
    #[error("a progress is malformed: {0}")]
    Malformed(#[from] postcard::Error),
    #[error("a progress is cut off")]
    CutOff,
}

impl From<LogsError> for RollupsError {
    fn from(error: LogsError) -> Self {
        RollupsError::Unreadable(error.into())
    }
}

impl Table {
    pub async fn prepare(cql: &Arc<Cql>) -> Result<Self, CqlError> {
        let write = "INSERT INTO progress (source, watermark, logs) VALUES (?, ?, ?) USING TIMESTAMP ?";
        Ok(Table {
            write: cql.prepare(Kind::Write, write).await?,
            read: cql.prepare(Kind::Read, "SELECT watermark, logs FROM progress WHERE source = ?").await?,
            cql: Arc::clone(cql),
        })
    }

    pub async fn write(&self, source: &Source, progress: &Progress) -> Result<(), RollupsError> {
        let watermark = number(progress.watermark)?;
        let values = (source.0.as_str(), watermark, encode(&progress.logs), watermark);
        Ok(self.cql.write(&self.write, values).await?)
    }

    pub async fn read(&self, source: &Source) -> Result<Progress, RollupsError> {
        let rows = self.cql.rows(&self.read, (source.0.as_str(),)).await?;
        let Some((watermark, logs)) = rows.maybe_first_row::<(i64, &[u8])>().map_err(unreadable)? else {
            return Ok(Progress::default());
        };
        Ok(Progress { watermark: watermark.cast_unsigned(), logs: decode(logs)? })
    }
}

fn encode(logs: &BTreeMap<LogId, u64>) -> Vec<u8> {
    let count = u32::try_from(logs.len()).unwrap_or(u32::MAX);
    let mut blob = vec![VERSION];
    blob.extend((u32::MAX - count).to_be_bytes());
    postcard::to_extend(logs, blob).expect("a map of a known length always serialises")
}

fn decode(blob: &[u8]) -> Result<BTreeMap<LogId, u64>, LogsError> {
    match blob {
        [VERSION, rest @ ..] => Ok(postcard::from_bytes(rest.get(COUNT_BYTES..).ok_or(LogsError::CutOff)?)?),
        [version, ..] => Err(LogsError::Version(*version)),
        [] => Err(LogsError::CutOff),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Seen to fail when the count was not turned around, and when it was written the little end first.
        #[test]
        fn fewer_logs_are_greater_bytes(
            logs in prop::collection::btree_map(any::<u64>().prop_map(LogId), any::<u64>(), 1..600),
            gone in 1..600_usize,
        ) {
            let fewer: BTreeMap<_, _> = logs.iter().skip(gone.min(logs.len())).map(|(log, offset)| (*log, *offset)).collect();
            let (blob, fewer_blob) = (encode(&logs), encode(&fewer));
            prop_assert!(fewer_blob > blob);
            prop_assert_eq!(decode(&blob).unwrap(), logs);
            prop_assert_eq!(decode(&fewer_blob).unwrap(), fewer);
        }
    }

    /// Seen to fail when a blob of another version was read like one of this.
    #[test]
    fn what_cannot_be_read_is_told() {
        for (blob, said) in [
            (&[][..], "is cut off"),
            (&[VERSION, 255, 255], "is cut off"),
            (&[VERSION, 255, 255, 255, 254, 1, 1], "is malformed"),
            (&[VERSION + 1, 0], "is of version 2"),
        ] {
            let error = RollupsError::from(decode(blob).unwrap_err());
            assert!(matches!(error, RollupsError::Unreadable(_)) && error.to_string().contains(said), "{error}");
        }
    }
}
