//! How fast clicks are counted into SQLite: `cargo run --release -p septet-analytics --example consume -- uniform 500000`.
//!
//! The clicks are made beforehand and delivered from memory; a line tells clicks per second by the clock and by the CPU time of the
//! process, and what the file holds afterwards. `uniform` spreads them over 100,000 links, `zipf` by Zipf's law; a third argument sets the
//! size of the row cache, in MiB.

use std::{collections::VecDeque, env, fs, sync::Arc, time::Instant};

use analytics::{
    click::{Click, LogId, Place, Text},
    conformance::given::Given,
    consumer::{Consumer, ConsumerOptions},
    rollups::{Rollups, Subject, sqlite::SqliteRollups},
    stream::{Sequenced, Source},
};

/// As the services have it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const LINKS: u64 = 100_000;

/// SplitMix64: <https://prng.di.unimi.it/splitmix64.c>.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn of<'a>(&mut self, texts: &'a [Text]) -> &'a Text {
        // A few are frequent, most are not.
        let place = (self.unit().powi(3) * texts.len() as f64) as usize;
        &texts[place.min(texts.len() - 1)]
    }
}

fn texts(name: &str, n: usize) -> Vec<Text> {
    (0..n).map(|i| format!("{name}{i}").into()).collect()
}

fn clicks(spread: &str, n: u64) -> VecDeque<Sequenced> {
    let mut random = Random(7);
    let (countries, cities, referers) = (texts("", 80), texts("City ", 2_000), texts("site-", 400));
    let (browsers, systems, devices) = (texts("Browser ", 8), texts("System ", 6), texts("Device ", 3));
    let clicks = (1..=n).map(|sequence| {
        let unit = random.unit();
        let link = match spread {
            "uniform" => (unit * LINKS as f64) as u64,
            // The inverse of the continuous law of exponent 1.
            "zipf" => (LINKS as f64).powf(unit) as u64,
            other => panic!("uniform or zipf, not {other}"),
        };
        let click = Click {
            log: LogId(random.next() % 2),
            offset: sequence * 200,
            // Some two hours of clicks.
            at_ms: 1_790_000_000_000 + (sequence * 7_200_000 / n) as i64,
            link,
            visitor: random.next() % (n / 3),
            bot: random.next().is_multiple_of(20),
            place: Place {
                continent: "EU".into(),
                country: random.of(&countries).clone(),
                region: random.of(&countries).clone(),
                city: random.of(&cities).clone(),
            },
            browser: random.of(&browsers).clone(),
            os: random.of(&systems).clone(),
            device: random.of(&devices).clone(),
            referer: random.of(&referers).clone(),
        };
        Sequenced { sequence, click }
    });
    clicks.collect()
}

fn cpu_ticks() -> u64 {
    let stat = fs::read_to_string("/proc/self/stat").expect("the process's own figures");
    let fields: Vec<_> = stat.rsplit(") ").next().expect("fields after the name").split(' ').collect();
    fields[11].parse::<u64>().expect("user ticks") + fields[12].parse::<u64>().expect("system ticks")
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let arguments: Vec<_> = env::args().collect();
    let spread = arguments.get(1).map_or("uniform", String::as_str);
    let n: u64 = arguments.get(2).map_or(500_000, |n| n.parse().expect("a number of clicks"));
    let mut options = ConsumerOptions::default();
    if let Some(mib) = arguments.get(3) {
        options.cache_bytes_max = mib.parse::<usize>().expect("MiB of cache") << 20;
    }
    let clicks = clicks(spread, n);
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("rollups.db");
    let store = Arc::new(SqliteRollups::open(&path).await.expect("a store"));

    let (began, ticks) = (Instant::now(), cpu_ticks());
    Consumer::run(Box::new(Given::new(Source("local".into()), clicks)), store.clone(), options, async {})
        .await
        .expect("counted");
    let (elapsed, cpu) = (began.elapsed().as_secs_f64(), (cpu_ticks() - ticks) as f64 / 100.0);

    let totals = store.totals(&[Subject::All]).await.expect("totals")[0];
    assert_eq!(totals.clicks + totals.bots, n);
    store.close().await;
    let bytes = fs::metadata(&path).expect("the file").len();
    println!(
        "{spread}: {n} clicks in {elapsed:.2} s, {:.0}/s; {cpu:.2} s of CPU, {:.0}/s of one core; file {:.1} MB",
        n as f64 / elapsed,
        n as f64 / cpu,
        bytes as f64 / 1e6
    );
}
