//! Two token services and four drawers, some of which are killed now and then.

use std::{
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use rand::{RngExt, SeedableRng, rngs::StdRng};
use septet_tests::{
    drawer::{self, Drawer},
    drawing::{Drawn, Seen},
    keyspace::Keyspace,
    process::{Launch, Running, START_LIMIT},
    token_service,
};
use tempfile::TempDir;

/// Short, so that MySQL can be away for longer.
pub const LEASE_TTL: Duration = Duration::from_secs(4);

const DRAWERS: usize = 4;
const SERVICES: usize = 2;

/// What each drawer draws at most: enough for the sum, and slow enough that leases last for a while.
const IDS_PER_S: u64 = 80_000;

/// Something is killed about this often.
const KILL_INTERVAL: Duration = Duration::from_millis(1500);

/// The services and the drawers.
pub struct World {
    directory: TempDir,
    /// The database of both services, but while they are split.
    url: String,
    setup: drawer::Setup,
    services: Vec<Running>,
    drawers: Vec<Drawer>,
    files: Vec<PathBuf>,
    end: End,
    rng: StdRng,
}

/// What came of it all.
#[derive(Debug, Default)]
pub struct End {
    /// Ids found in the files, each once.
    pub ids: u64,
    /// Drawers killed.
    pub kills: u32,
    /// Drawers stopped in order.
    pub stops: u32,
    pub service_kills: u32,
    /// Times that a drawer waited for an id in vain.
    pub waits_in_vain: u64,
    /// Claims refused, as far as drawers said so.
    pub refusals_seen: u64,
    /// What the metric says of them, in drawers that ended in order.
    pub refusals_counted: u64,
}

fn launch(url: &str, directory: &Path) -> Launch {
    // MySQL is away again and again: what they say about it is expected.
    token_service::launch(url, directory)
        .flag("--lease-ttl-ms", LEASE_TTL.as_millis().to_string())
        .flag("--database-timeout-ms", "1500")
        .flag("--log", "off")
}

impl World {
    /// Everything started, on a database that is migrated first, with claims in a SQLite file or in `keyspace`.
    pub fn start(url: &str, keyspace: Option<&Keyspace>) -> Self {
        let directory = tempfile::tempdir().expect("a directory for temporary files");
        let launch = launch(url, directory.path());
        token_service::migrate(url, directory.path());
        let services: Vec<_> = (0..SERVICES).map(|_| launch.start()).collect();
        let addresses: Vec<_> = services.iter().map(|service| service.listen).collect();
        let file = || format!("sqlite:{}", directory.path().join("links.db").display());
        let setup = drawer::Setup {
            leases: token_service::urls(&addresses),
            links: keyspace.map_or_else(file, Keyspace::url),
            directory: directory.path().to_owned(),
            ids_per_s: IDS_PER_S,
        };
        let seed = rand::rng().random();
        println!("seed {seed}");
        let rng = StdRng::seed_from_u64(seed);
        let mut world = Self {
            directory,
            url: url.to_owned(),
            setup,
            services,
            drawers: Vec::new(),
            files: Vec::new(),
            end: End::default(),
            rng,
        };
        for _ in 0..DRAWERS {
            world.start_drawer();
        }
        world
    }

    fn start_drawer(&mut self) {
        let drawer = self.setup.start(&format!("ids-{}", self.files.len()));
        self.files.push(drawer.out().to_owned());
        self.drawers.push(drawer);
    }

    /// Lets it run, and kills something now and then.
    pub fn run(&mut self, what: &str, time: Duration) {
        let (begun, before) = (Instant::now(), self.ids_said());
        while begun.elapsed() < time {
            thread::sleep(KILL_INTERVAL.mul_f64(self.rng.random_range(0.3..1.0)).min(time));
            match self.rng.random_range(0..6) {
                0..3 => self.kill_drawer(),
                3 => self.stop_drawer(),
                4 => self.kill_service(),
                _ => {}
            }
        }
        let drawn = self.ids_said().saturating_sub(before);
        println!(
            "{what}: {:.1} s, about {drawn} ids, {} refusals in all",
            begun.elapsed().as_secs_f64(),
            self.refusals()
        );
    }

    fn kill_drawer(&mut self) {
        let index = self.rng.random_range(0..self.drawers.len());
        let drawn = self.drawers.swap_remove(index).kill();
        self.end.kills += 1;
        self.ended(drawn);
        self.start_drawer();
    }

    fn stop_drawer(&mut self) {
        let index = self.rng.random_range(0..self.drawers.len());
        let drawn = self.drawers.swap_remove(index).stop();
        self.end.stops += 1;
        self.ended(drawn);
        self.start_drawer();
    }

    /// What a drawer had seen and what the metric said of it is the same in its last line; a killed one has none.
    fn ended(&mut self, drawn: Drawn) {
        if drawn.closed {
            assert_eq!(drawn.refusals_seen, drawn.refusals_counted, "every refusal must be counted by the metric");
            self.end.refusals_counted += drawn.refusals_counted;
        }
        self.end.refusals_seen += drawn.refusals_seen;
        self.end.waits_in_vain += drawn.waits_in_vain;
        self.end.ids += drawn.ids;
    }

    fn kill_service(&mut self) {
        let index = self.rng.random_range(0..self.services.len());
        self.restart_service(index, |launch| launch);
        self.end.service_kills += 1;
    }

    /// `kill -9`, and the same again at once, ready or not: the database may be away.
    fn restart_service(&mut self, index: usize, change: impl FnOnce(Launch) -> Launch) {
        let service = self.services.remove(index);
        let again = change(token_service::again(&service));
        service.kill();
        self.services.insert(index, again.start_unready());
    }

    /// The second service works on another database from now on.
    pub fn split(&mut self, url: &str) {
        self.restart_service(1, |launch| launch.env("SEPTET_DATABASE", url));
    }

    /// Both services work on the first one's database again.
    pub fn join(&mut self) {
        let url = self.url.clone();
        self.restart_service(1, |launch| launch.env("SEPTET_DATABASE", url));
    }

    pub fn kill_and_stop_at_random(&mut self) {
        self.kill_drawer();
        self.stop_drawer();
        self.kill_service();
    }

    /// Refusals that drawers said they had seen, those that are gone included.
    pub fn refusals(&self) -> u64 {
        self.end.refusals_seen + self.drawers.iter().map(|drawer| drawer.drawn().refusals_seen).sum::<u64>()
    }

    fn ids_said(&self) -> u64 {
        self.end.ids + self.drawers.iter().map(|drawer| drawer.drawn().ids).sum::<u64>()
    }

    /// Stops everything in order, and looks through every id.
    pub fn stop(mut self) -> End {
        let begun = Instant::now();
        // Some were started a moment ago.
        while self.drawers.iter().any(|drawer| drawer.drawn().ids == 0) {
            assert!(begun.elapsed() < START_LIMIT, "a drawer draws nothing, with everything up");
            thread::sleep(Duration::from_millis(20));
        }
        for drawer in std::mem::take(&mut self.drawers) {
            let drawn = drawer.stop();
            assert!(drawn.closed, "with everything up, everything is handed back: {drawn:?}");
            self.end.stops += 1;
            self.ended(drawn);
        }
        println!("stopped after {:.1} s", begun.elapsed().as_secs_f64());
        let mut seen = Seen::default();
        for file in self.files.iter().filter(|file| file.exists()) {
            seen.add(file).unwrap_or_else(|error| panic!("{error:#}"));
        }
        self.end.ids = seen.ids();
        println!("every id was looked at after {:.1} s", begun.elapsed().as_secs_f64());
        let account = token_service::again(&self.services[0]).run_to_end("account");
        println!("{}", account.stdout.join("\n"));
        assert!(account.status.success(), "every block is accounted for: {}", account.stderr_text());
        for service in std::mem::take(&mut self.services) {
            service.stop();
        }
        drop(self.directory);
        self.end
    }
}
