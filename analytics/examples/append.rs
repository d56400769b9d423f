//! What appending a click costs: `cargo run --release -p septet-analytics --features click-log --example append [clicks
//! per second]`.
//!
//! One thread appends clicks of about 250 bytes at a steady rate, while another reads and trims, as in a running
//! instance. Burst by burst for the mean; then click by click for the tail, where each figure includes a reading of the
//! clock (printed beside).

use std::{
    env,
    net::{IpAddr, Ipv4Addr},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use analytics::{
    click::LogId,
    click_log::{ClickLogs, ClickWriter, Options, RawClick},
};

const SECONDS: u32 = 5;
const BURST: u32 = 64;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let rate: u32 = env::args().nth(1).map_or(Ok(150_000), |rate| rate.parse())?;
    let folder = env::temp_dir().join(format!("septet-append-{}", std::process::id()));
    let logs = ClickLogs::open(&folder, Options::default())?;
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| read(&logs, &done));
        let mut writer = logs.writer().expect("there is room for one");
        println!("{rate} clicks per second for {SECONDS} s, each way");
        bursts(&mut writer, rate);
        singles(&mut writer, rate);
        done.store(true, Ordering::Relaxed);
    });
    logs.close()?;
    drop(logs);
    std::fs::remove_dir_all(folder)?;
    Ok(())
}

fn read(logs: &ClickLogs, done: &AtomicBool) {
    let mut reader = logs.reader().expect("the only reader");
    while !done.load(Ordering::Relaxed) {
        let mut last: Option<(LogId, u64)> = None;
        reader.read(100_000, |log, end, _| last = Some((log, end)));
        if let Some((log, end)) = last {
            reader.trim(log, end);
        }
        thread::sleep(Duration::from_millis(50));
    }
}

fn click(link: u64) -> RawClick<'static> {
    RawClick {
        at_ms: 1_700_000_000_000,
        link,
        peer: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7)),
        user_agent: b"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36",
        referer: b"https://news.example.com/2026/11/an-article-with-a-title-of-the-usual-length",
        forwarded_for: b"203.0.113.195",
        country: b"DE",
    }
}

/// Runs `burst` at the rate; answers how many bursts there were.
fn paced(rate: u32, mut burst: impl FnMut(u64)) -> u32 {
    let bursts = rate * SECONDS / BURST;
    let pause = Duration::from_secs(1) * BURST / rate;
    let start = Instant::now();
    for number in 0..bursts {
        burst(u64::from(number * BURST));
        while let Some(left) = (pause * number).checked_sub(start.elapsed()) {
            thread::sleep(left);
        }
    }
    bursts
}

fn bursts(writer: &mut ClickWriter, rate: u32) {
    let (mut busy, mut dropped, mut bytes) = (Duration::ZERO, 0, 0);
    let bursts = paced(rate, |first| {
        let start = Instant::now();
        for link in first..first + u64::from(BURST) {
            match writer.append(&click(link)) {
                Ok(end) => bytes = end,
                Err(_) => dropped += 1,
            }
        }
        busy += start.elapsed();
    });
    let count = bursts * BURST;
    println!("{count} clicks of {} bytes, {dropped} dropped: {:?} each", bytes / u64::from(count), busy / count);
}

fn singles(writer: &mut ClickWriter, rate: u32) {
    let mut times = Vec::with_capacity((rate * SECONDS) as usize);
    let mut clock = Duration::ZERO;
    paced(rate, |first| {
        for link in first..first + u64::from(BURST) {
            let start = Instant::now();
            // Dropped ones were counted in the other run, and there are none at a rate that the disk can bear.
            let _ = writer.append(&click(link));
            times.push(start.elapsed());
        }
        clock += Instant::now().elapsed();
    });
    times.sort_unstable();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
    println!(
        "p50 {:?}  p99 {:?}  p99.9 {:?}  p99.99 {:?}  max {:?}",
        at(0.5),
        at(0.99),
        at(0.999),
        at(0.9999),
        at(1.0)
    );
    println!("the clock: {:?}", clock / (rate * SECONDS / BURST));
}
