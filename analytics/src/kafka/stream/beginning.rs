//! Where partitions begin: found out for each by itself, so that one which cannot be looked at holds up no other.

use std::{
    collections::HashMap,
    mem::take,
    sync::{Arc, mpsc as commands},
    time::Duration,
};

use tokio::{
    sync::mpsc,
    task::AbortHandle,
    time::{Instant, sleep},
};

use super::{
    origin::{Origin, Origins},
    poller::Command,
};
use crate::{
    kafka::KafkaOptions,
    stream::{Progress, StreamError},
    trouble::{Trouble, Work},
};

/// How often a partition that is being counted is looked at again.
const LOOKED_AGAIN_AFTER: Duration = Duration::from_secs(30);

/// Partitions that are about to begin, or have begun.
pub(super) struct Beginnings {
    origins: Arc<Origins>,
    commands: commands::Sender<Command>,
    /// The last look at each partition.
    looks: HashMap<i32, Look>,
    refuse: mpsc::UnboundedSender<StreamError>,
    refused: mpsc::UnboundedReceiver<StreamError>,
}

struct Look {
    began: Instant,
    task: AbortHandle,
    /// What was counted when the look began, or first of all: the next look is for this. By what was counted since, a partition of another topic
    /// may have come to look like itself.
    known: Progress,
    /// What is counted by now.
    counted: Progress,
}

impl Beginnings {
    pub fn new(options: &KafkaOptions, commands: commands::Sender<Command>) -> Self {
        // At most one from each look, of which there is one for each partition.
        let (refuse, refused) = mpsc::unbounded_channel();
        Beginnings { origins: Arc::new(Origins::new(options)), commands, looks: HashMap::new(), refuse, refused }
    }

    /// Lets a partition begin behind what was counted of it, however often it takes to look.
    pub fn begin(&mut self, partition: i32, progress: Progress) {
        let commands = self.commands.clone();
        self.look(partition, progress.clone(), progress, move |origin| {
            // Where there is nobody to command, the stream has ended.
            let _ = commands.send(Command::Begin { partition, origin });
        });
    }

    /// Remembers how far a partition is counted, for the next look.
    pub fn counted(&mut self, partition: i32, progress: &Progress) {
        if let Some(look) = self.looks.get_mut(&partition) {
            look.counted.clone_from(progress);
            if look.known.watermark == 0 {
                look.known.clone_from(progress);
            }
        }
    }

    /// Looks from time to time whether partitions are what was counted: one that was made anew, and has as many records, is told by nothing else.
    pub fn look_again(&mut self) {
        let is_due = |look: &Look| look.task.is_finished() && look.began.elapsed() >= LOOKED_AGAIN_AFTER;
        let due = self.looks.iter_mut().filter(|(_, look)| is_due(look));
        let due: Vec<_> =
            due.map(|(partition, look)| (*partition, take(&mut look.known), take(&mut look.counted))).collect();
        for (partition, known, counted) in due {
            self.look(partition, known, counted, |_| {});
        }
    }

    /// A partition is another consumer's.
    pub fn end(&mut self, partition: i32) {
        if let Some(look) = self.looks.remove(&partition) {
            look.task.abort();
        }
    }

    /// Looks whether a partition is the one of which something is known.
    fn look(&mut self, partition: i32, known: Progress, counted: Progress, then: impl FnOnce(Origin) + Send + 'static) {
        let (origins, refuse) = (Arc::clone(&self.origins), self.refuse.clone());
        let task = tokio::spawn(async move {
            let mut trouble = Trouble::new(Work::Counting, "begin");
            loop {
                match origins.check(partition, &known).await {
                    Ok(origin) => {
                        trouble.over();
                        return then(origin);
                    }
                    Err(error @ StreamError::Lost(_)) => return drop(refuse.send(error)),
                    Err(error) => sleep(trouble.met(&error)).await,
                }
            }
        });
        let look = Look { began: Instant::now(), task: task.abort_handle(), known: counted.clone(), counted };
        if let Some(earlier) = self.looks.insert(partition, look) {
            earlier.task.abort();
        }
    }

    /// Waits until a partition is refused.
    pub async fn refused(&mut self) -> StreamError {
        match self.refused.recv().await {
            Some(refused) => refused,
            None => unreachable!("there is a sender as long as this is there"),
        }
    }
}

impl Drop for Beginnings {
    fn drop(&mut self) {
        self.looks.values().for_each(|look| look.task.abort());
    }
}
