//! Each click is counted exactly once: the consumer as it is, in a simulated world where everything else fails.
//!
//! Simulated are the topic (clicks that are written twice), the group (partitions that move, and consumers that hear of it late), and a store of
//! three replicas (writes that arrive late, in any order, on some replicas only, and whose answers are lost). Time is simulated as well;
//! a seed decides everything.

mod store;
mod topic;
mod world;

use world::{Broken, run};

/// Seeds that must all come out right.
const SEEDS: u64 = 2_000;
/// Seeds within which a broken protocol must be found out.
const SEEDS_OF_BROKEN: u64 = 1_000;

fn first_wrong(broken: Option<Broken>, seeds: u64) -> Option<(u64, String)> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from) as u64;
    std::thread::scope(|scope| {
        let looking = (0..threads).map(|thread| {
            let mut seeds = (thread..seeds).step_by(threads as usize);
            scope.spawn(move || seeds.find_map(|seed| Some((seed, run(seed, broken).err()?))))
        });
        let looking: Vec<_> = looking.collect();
        looking.into_iter().filter_map(|thread| thread.join().expect("a simulation panicked")).min()
    })
}

#[test]
fn every_click_counts_exactly_once_whatever_fails() {
    if let Some((seed, wrong)) = first_wrong(None, SEEDS) {
        panic!("seed {seed}: {wrong}");
    }
}

/// Each part of the protocol is needed: without it, some seed goes wrong.
#[test]
fn without_any_part_of_it_clicks_are_lost_or_count_twice() {
    for broken in Broken::ALL {
        let (seed, wrong) = first_wrong(Some(broken), SEEDS_OF_BROKEN)
            .unwrap_or_else(|| panic!("{broken:?}: nothing went wrong in {SEEDS_OF_BROKEN} seeds"));
        println!("{broken:?}: seed {seed}: {wrong}");
    }
}
