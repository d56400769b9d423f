//! Which partition each click goes to, however often it is written: kept in a file beside the click log.
//!
//! A click that was written, and whose acknowledgement did not arrive, is written again, maybe by a later process. If the topic has
//! more partitions by then, its key leads to another one, where nobody knows that it was counted. So the number of partitions that is
//! reckoned with is kept, and changed only between clicks: when everything that was ever written has been acknowledged. How far
//! that was is kept with it: what lies before is never written again.
//!
//! A log is kept from before its first click is written until every partition was told that it has ended. So a process that finds one here
//! and not in the click log has its end to tell, whatever became of the process that wrote it.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::click::LogId;

/// The file, in its folder.
const FILE: &str = "forwarding.json";

/// What is in it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Contents {
    topic: String,
    /// The number of partitions that keys are spread over.
    partitions: u32,
    /// Clicks up to here were acknowledged when that number was settled on; 0 for a log that came later.
    acknowledged: BTreeMap<String, u64>,
}

/// The number of partitions in use, and what is known to be behind it.
#[derive(Debug, Clone)]
pub(super) struct Routes {
    path: PathBuf,
    topic: String,
    pub partitions: u32,
    /// Of each log whose end is not told yet.
    pub acknowledged: BTreeMap<LogId, u64>,
}

/// Why it is not known where clicks go.
#[derive(Debug, thiserror::Error)]
pub enum RoutesError {
    #[error("{path}: {source}")]
    File { path: String, source: io::Error },
    #[error("{path} cannot be read: {cause}")]
    Unreadable { path: String, cause: String },
    #[error(
        "the topic {topic:?} has {found} partitions, and clicks were sent to {known}: it was made anew. Clicks wait in the click log; to send \
         them to the new topic, where some may be counted twice, delete {path}"
    )]
    Shrunk { topic: String, found: u32, known: u32, path: String },
    #[error(
        "clicks of this click log were sent to the topic {known:?}: before {topic:?} takes over, let the click log run empty (stop the instance \
         gracefully), then delete {path}"
    )]
    OtherTopic { topic: String, known: String, path: String },
}

impl Routes {
    /// What was settled on before, or else the partitions that there are: then it is settled on, on disk.
    pub fn open(folder: &Path, topic: &str, found: u32) -> Result<Self, RoutesError> {
        if let Some(routes) = Self::read(folder, topic)? {
            routes.checked(found)?;
            return Ok(routes);
        }
        let (path, topic) = (folder.join(FILE), topic.to_owned());
        let routes = Routes { path, topic, partitions: found, acknowledged: BTreeMap::default() };
        routes.save()?;
        Ok(routes)
    }

    /// What was settled on before, if anything was.
    pub fn read(folder: &Path, topic: &str) -> Result<Option<Self>, RoutesError> {
        let path = folder.join(FILE);
        let shown = path.display().to_string();
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(RoutesError::File { path: shown, source }),
        };
        let unreadable = |cause: String| RoutesError::Unreadable { path: shown.clone(), cause };
        let contents: Contents = serde_json::from_slice(&text).map_err(|error| unreadable(error.to_string()))?;
        if contents.topic != topic {
            return Err(RoutesError::OtherTopic { topic: topic.to_owned(), known: contents.topic, path: shown });
        }
        let log = |name: &str| u64::from_str_radix(name, 16).map_err(|_| unreadable(format!("{name:?} is no log")));
        let acknowledged = contents.acknowledged.iter().map(|(name, offset)| Ok((LogId(log(name)?), *offset)));
        Ok(Some(Routes {
            acknowledged: acknowledged.collect::<Result<_, _>>()?,
            partitions: contents.partitions,
            topic: contents.topic,
            path,
        }))
    }

    /// A number of partitions that was found, if it can be of the topic that clicks were sent to: no topic ever loses any.
    pub fn checked(&self, found: u32) -> Result<u32, RoutesError> {
        if found >= self.partitions {
            return Ok(found);
        }
        let (topic, path) = (self.topic.clone(), self.path.display().to_string());
        Err(RoutesError::Shrunk { topic, found, known: self.partitions, path })
    }

    /// Settles on another number: everything that was ever written is acknowledged.
    pub fn change(&mut self, partitions: u32, acknowledged: &BTreeMap<LogId, u64>) -> Result<(), RoutesError> {
        let mut next = Routes { partitions, ..self.clone() };
        next.acknowledged.extend(acknowledged);
        next.save()?;
        *self = next;
        Ok(())
    }

    /// Keeps those of the logs that are new. They are kept in memory even if that fails, and on disk the next time that anything is.
    pub fn meet(&mut self, logs: impl Iterator<Item = LogId>) -> Result<(), RoutesError> {
        let before = self.acknowledged.len();
        for log in logs {
            self.acknowledged.entry(log).or_insert(0);
        }
        if self.acknowledged.len() == before { Ok(()) } else { self.save() }
    }

    /// Keeps nothing more of logs whose end is told. If that fails, it is told once more.
    pub fn forget(&mut self, logs: &[LogId]) -> Result<(), RoutesError> {
        let before = self.acknowledged.len();
        for log in logs {
            self.acknowledged.remove(log);
        }
        if self.acknowledged.len() == before { Ok(()) } else { self.save() }
    }

    /// In the place of what was there, and on disk.
    fn save(&self) -> Result<(), RoutesError> {
        let acknowledged = self.acknowledged.iter().map(|(log, offset)| (log.to_string(), *offset)).collect();
        let contents = Contents { topic: self.topic.clone(), partitions: self.partitions, acknowledged };
        let write = || {
            let text = serde_json::to_vec(&contents)?;
            let unnamed = self.path.with_extension("new");
            let mut file = File::create(&unnamed)?;
            file.write_all(&text)?;
            file.sync_all()?;
            fs::rename(&unnamed, &self.path)?;
            File::open(self.path.parent().unwrap_or(Path::new(".")))?.sync_all()
        };
        write().map_err(|source| RoutesError::File { path: self.path.display().to_string(), source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seen to fail when the number that was found won over the one that was settled on.
    #[test]
    fn what_was_settled_on_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let open = |found| Routes::open(folder.path(), "t", found);
        assert_eq!(open(4).unwrap().partitions, 4);
        let mut routes = open(8).unwrap();
        assert_eq!((routes.partitions, routes.acknowledged.len()), (4, 0));
        let acknowledged = BTreeMap::from([(LogId(u64::MAX), 7), (LogId(1), 9)]);
        routes.change(8, &acknowledged).unwrap();
        let again = open(8).unwrap();
        assert_eq!((again.partitions, again.acknowledged), (8, acknowledged));
    }

    /// Seen to fail when the file was not written at either.
    #[test]
    fn logs_are_kept_until_their_end_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let logs = || Vec::from_iter(Routes::open(folder.path(), "t", 4).unwrap().acknowledged);
        let mut routes = Routes::open(folder.path(), "t", 4).unwrap();
        routes.meet([LogId(1), LogId(2), LogId(1)].into_iter()).unwrap();
        assert_eq!(logs(), [(LogId(1), 0), (LogId(2), 0)]);
        routes.change(8, &BTreeMap::from([(LogId(1), 7)])).unwrap();
        routes.meet([LogId(1)].into_iter()).unwrap();
        routes.forget(&[LogId(2)]).unwrap();
        assert_eq!(Vec::from_iter(Routes::open(folder.path(), "t", 8).unwrap().acknowledged), [(LogId(1), 7)]);
    }

    #[test]
    fn a_topic_that_was_made_anew_is_refused_with_a_sentence() {
        let folder = tempfile::tempdir().unwrap();
        Routes::open(folder.path(), "t", 8).unwrap();
        let error = Routes::open(folder.path(), "t", 4).unwrap_err().to_string();
        assert!(error.contains("has 4 partitions, and clicks were sent to 8: it was made anew"), "{error}");
        let error = Routes::open(folder.path(), "u", 8).unwrap_err().to_string();
        assert!(error.contains("were sent to the topic \"t\""), "{error}");
    }
}
