//! Rollups on three replicas: each cell keeps the value with the highest timestamp.

use std::{
    collections::{BTreeMap, HashMap},
    ops::RangeInclusive,
    sync::Arc,
    time::Duration,
};

use analytics::{
    query::Totals,
    rollups::{Changes, Day, DayRow, Part, Rollups, RollupsError, Subject, TotalRow, Wanted},
    stream::{Progress, Source},
};
use async_trait::async_trait;
use parking_lot::Mutex;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep, timeout},
};

use crate::world::Broken;

const REPLICAS: usize = 3;
const QUORUM: usize = 2;
/// How long a statement waits for a quorum.
const STATEMENT_TIMEOUT: Duration = Duration::from_millis(500);
/// The latest that a write arrives.
const LATE_MAX_MS: u64 = 6_000;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Cell {
    Part(Source, Subject, Day, Part),
    Watermark(Source, Subject, Day),
    Total(Source, Subject),
    Progress(Source),
}

#[derive(Debug, Clone, PartialEq)]
enum Value {
    Blob(Vec<u8>),
    Watermark(u64),
    Total(TotalRow),
    Progress(Progress),
    /// What a counter has been added up to, and the watermark that went along.
    Counter(TotalRow),
}

type Mutation = Vec<(Cell, u64, Value)>;

#[derive(Debug, Default)]
struct Replica {
    cells: HashMap<Cell, (u64, Value)>,
}

impl Replica {
    fn apply(&mut self, mutation: &Mutation, arrived_at: u64, broken: Option<Broken>) {
        for (cell, timestamp, value) in mutation {
            if let Value::Counter(delta) = value {
                self.add(cell, delta);
                continue;
            }
            let timestamp = if broken == Some(Broken::TimeOfArrival) { arrived_at } else { *timestamp };
            let is_newer = self.cells.get(cell).is_none_or(|(held, _)| *held <= timestamp);
            if is_newer {
                self.cells.insert(cell.clone(), (timestamp, value.clone()));
            }
        }
    }

    fn add(&mut self, cell: &Cell, delta: &TotalRow) {
        let (_, held) = self.cells.entry(cell.clone()).or_insert((0, Value::Total(TotalRow::default())));
        let Value::Total(total) = held else { unreachable!("a counter is a total") };
        total.clicks += delta.clicks;
        total.bots += delta.bots;
        total.last_ms = total.last_ms.max(delta.last_ms);
        total.watermark = total.watermark.max(delta.watermark);
    }
}

/// The cluster.
#[derive(Debug)]
pub struct Cluster {
    replicas: [Mutex<Replica>; REPLICAS],
    random: Mutex<StdRng>,
    broken: Option<Broken>,
    began: Instant,
    /// Whether nothing fails any more.
    calm: Mutex<bool>,
}

impl Cluster {
    pub fn new(seed: u64, broken: Option<Broken>) -> Arc<Self> {
        Arc::new(Cluster {
            replicas: Default::default(),
            random: Mutex::new(StdRng::seed_from_u64(seed)),
            broken,
            began: Instant::now(),
            calm: Mutex::new(false),
        })
    }

    pub fn calm_down(&self) {
        *self.calm.lock() = true;
    }

    /// When a write arrives at one replica; `None`: never.
    fn delay(&self) -> Option<Duration> {
        let mut random = self.random.lock();
        if *self.calm.lock() {
            return Some(Duration::from_millis(1));
        }
        match random.random_range(0..100) {
            0..70 => Some(Duration::from_millis(random.random_range(1..8))),
            70..94 => Some(Duration::from_millis(random.random_range(8..LATE_MAX_MS))),
            _ => None,
        }
    }

    /// Writes to all replicas, and waits for a quorum of them. What has not arrived by then arrives later, or never.
    async fn write(self: &Arc<Self>, mutation: Mutation) -> Result<(), RollupsError> {
        let (arrived, mut arrivals) = mpsc::unbounded_channel();
        let mutation = Arc::new(mutation);
        for replica in 0..REPLICAS {
            let Some(delay) = self.delay() else { continue };
            let (cluster, mutation, arrived) = (Arc::clone(self), Arc::clone(&mutation), arrived.clone());
            tokio::spawn(async move {
                sleep(delay).await;
                let at = cluster.began.elapsed().as_micros() as u64;
                cluster.replicas[replica].lock().apply(&mutation, at, cluster.broken);
                let _ = arrived.send(());
            });
        }
        drop(arrived);
        let quorum = async {
            for _ in 0..QUORUM {
                arrivals.recv().await?;
            }
            Some(())
        };
        match timeout(STATEMENT_TIMEOUT, quorum).await {
            Ok(Some(())) => Ok(()),
            _ => Err(unavailable()),
        }
    }

    /// Two replicas that answer a read.
    fn quorum(&self) -> [usize; QUORUM] {
        [[0, 1], [1, 2], [0, 2]][self.random.lock().random_range(0..REPLICAS)]
    }

    /// The newest of what replicas hold, cell by cell. Nothing is repaired by it.
    fn newest(&self, replicas: [usize; QUORUM], cell: &Cell) -> Option<Value> {
        let held = replicas.iter().filter_map(|replica| self.replicas[*replica].lock().cells.get(cell).cloned());
        held.max_by_key(|(timestamp, _)| *timestamp).map(|(_, value)| value)
    }

    fn read(&self, cell: &Cell) -> Option<Value> {
        self.newest(self.quorum(), cell)
    }

    /// A row is read from the same replicas, all of it at once.
    fn day(&self, source: &Source, subject: Subject, day: Day) -> DayRow {
        let replicas = self.quorum();
        let watermark = self.newest(replicas, &Cell::Watermark(source.clone(), subject, day));
        let Some(Value::Watermark(watermark)) = watermark else { return DayRow::default() };
        let mut row = DayRow::at(watermark);
        for part in Part::ALL {
            if let Some(Value::Blob(blob)) = self.newest(replicas, &Cell::Part(source.clone(), subject, day, part)) {
                row.decode(part, &blob).expect("it was encoded");
            }
        }
        row
    }

    fn total(&self, source: &Source, subject: Subject) -> TotalRow {
        match self.read(&Cell::Total(source.clone(), subject)) {
            Some(Value::Total(total)) => total,
            _ => TotalRow::default(),
        }
    }

    pub fn progress_of(&self, source: &Source) -> Progress {
        match self.read(&Cell::Progress(source.clone())) {
            Some(Value::Progress(progress)) => progress,
            _ => Progress::default(),
        }
    }

    /// People's and bots' clicks by the day's row and by the total.
    pub fn counted(&self, source: &Source, subject: Subject, day: Day) -> (u64, u64) {
        let row = self.day(source, subject, day);
        let total = self.total(source, subject);
        (row.clicks.iter().map(|slot| slot.people + slot.bots).sum(), total.clicks + total.bots)
    }

    /// Clicks by each value of a dimension.
    pub fn values(&self, source: &Source, subject: Subject, day: Day) -> BTreeMap<String, u64> {
        let row = self.day(source, subject, day);
        let values = row.values(analytics::query::Dimension::Browser);
        values
            .iter()
            .map(|(value, slots)| (value.to_string(), slots.iter().map(|slot| slot.people + slot.bots).sum()))
            .collect()
    }
}

fn unavailable() -> RollupsError {
    RollupsError::Unavailable("no quorum answered".into())
}

/// One consumer's way to the cluster.
#[derive(Debug)]
pub struct Session {
    pub cluster: Arc<Cluster>,
    /// What this consumer knows to be counted, for counters.
    known: Mutex<HashMap<(Source, Subject), TotalRow>>,
}

impl Session {
    pub fn new(cluster: &Arc<Cluster>) -> Arc<Self> {
        Arc::new(Session { cluster: Arc::clone(cluster), known: Mutex::default() })
    }

    fn mutations(&self, source: &Source, changes: &Changes) -> Vec<Mutation> {
        let broken = self.cluster.broken;
        let days = changes.days.iter().map(|(subject, day, row)| {
            let at = (Cell::Watermark(source.clone(), *subject, *day), row.watermark, Value::Watermark(row.watermark));
            let parts = Part::ALL.into_iter().filter(|part| row.is_unwritten(*part));
            let parts = parts.map(|part| {
                let cell = Cell::Part(source.clone(), *subject, *day, part);
                (cell, row.watermark, Value::Blob(row.encode(part)))
            });
            parts.chain([at]).collect()
        });
        let totals = changes.totals.iter().map(|(subject, row)| {
            let value = if broken == Some(Broken::Counters) {
                let known = self.known.lock().get(&(source.clone(), *subject)).copied().unwrap_or_default();
                let (clicks, bots) = (row.clicks - known.clicks, row.bots - known.bots);
                Value::Counter(TotalRow { clicks, bots, ..*row })
            } else {
                Value::Total(*row)
            };
            vec![(Cell::Total(source.clone(), *subject), row.watermark, value)]
        });
        days.chain(totals).collect()
    }

    async fn rows(&self, source: &Source, changes: &Changes) -> Result<(), RollupsError> {
        let writes = self.mutations(source, changes).into_iter().map(|mutation| self.cluster.write(mutation));
        let written = futures::future::join_all(writes).await;
        written.into_iter().collect()
    }

    async fn note(&self, source: &Source, progress: &Progress) -> Result<(), RollupsError> {
        let cell = Cell::Progress(source.clone());
        self.cluster.write(vec![(cell, progress.watermark, Value::Progress(progress.clone()))]).await
    }
}

#[async_trait]
impl Rollups for Session {
    async fn progress(&self, source: &Source) -> Result<Progress, RollupsError> {
        sleep(Duration::from_millis(1)).await;
        Ok(self.cluster.progress_of(source))
    }

    async fn days(&self, source: &Source, keys: &[(Subject, Day)]) -> Result<Vec<DayRow>, RollupsError> {
        sleep(Duration::from_millis(2)).await;
        let rows = keys.iter().map(|(subject, day)| self.cluster.day(source, *subject, *day));
        Ok(rows
            .map(|mut row| {
                if self.cluster.broken == Some(Broken::ReadRowsInPart) {
                    row.set_written();
                }
                row
            })
            .collect())
    }

    async fn source_totals(&self, source: &Source, subjects: &[Subject]) -> Result<Vec<TotalRow>, RollupsError> {
        sleep(Duration::from_millis(2)).await;
        let totals: Vec<_> = subjects.iter().map(|subject| self.cluster.total(source, *subject)).collect();
        let mut known = self.known.lock();
        known.extend(subjects.iter().zip(&totals).map(|(subject, total)| ((source.clone(), *subject), *total)));
        Ok(totals)
    }

    async fn commit(&self, source: &Source, changes: &Changes, progress: &Progress) -> Result<(), RollupsError> {
        if self.cluster.broken == Some(Broken::ProgressFirst) {
            self.note(source, progress).await?;
            return self.rows(source, changes).await;
        }
        self.rows(source, changes).await?;
        let totals = changes.totals.iter().map(|(subject, total)| ((source.clone(), *subject), *total));
        self.known.lock().extend(totals);
        self.note(source, progress).await
    }

    async fn read(&self, _: Subject, _: RangeInclusive<Day>, _: Wanted) -> Result<Vec<(Day, DayRow)>, RollupsError> {
        Err(unavailable())
    }

    async fn totals(&self, _: &[Subject]) -> Result<Vec<Totals>, RollupsError> {
        Err(unavailable())
    }

    async fn first_day(&self, _: Subject) -> Result<Option<Day>, RollupsError> {
        Err(unavailable())
    }

    async fn close(&self) {}
}
