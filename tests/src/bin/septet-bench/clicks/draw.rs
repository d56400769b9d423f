//! Clicks as they come: on few links often and on many seldom, or on all alike; of people and bots, some of whom come again; in the order
//! of time, from the click logs of a few workers.

use std::ops::Range;

use analytics::click::{Click, LogId};
use clap::ValueEnum;
use rand::{
    RngExt, SeedableRng,
    distr::{Distribution, weighted::WeightedIndex},
    rngs::SmallRng,
};
use serde::Serialize;

use super::values::{Vocabulary, zipf};

/// The id of the first link: ids are as long as where a billion links were made before.
const FIRST_LINK: u64 = 1 << 30;

/// Click logs that the clicks come from: those of two instances of two workers each.
const LOGS: usize = 4;

/// Bytes of a click in its log.
const RECORD_BYTES: Range<u64> = 150..300;

/// There is one visitor for so many clicks.
const CLICKS_OF_VISITOR: u64 = 3;

/// One click in so many is a bot's.
const CLICKS_OF_BOT: u32 = 20;

/// Every run draws the same.
const SEED: u64 = 1;

/// How clicks are spread over links.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Spread {
    /// By Zipf's law with an exponent of 1
    Zipf,
    /// Evenly
    Uniform,
}

/// Links, to be drawn from.
pub struct Links(WeightedIndex<f64>);

impl Links {
    pub fn new(links: usize, spread: Spread) -> Self {
        Links(match spread {
            Spread::Zipf => zipf(links),
            Spread::Uniform => WeightedIndex::new(vec![1.0; links]).expect("there is at least one link"),
        })
    }

    /// The id of one of them.
    pub fn draw(&self, random: &mut SmallRng) -> u64 {
        FIRST_LINK + self.0.sample(random) as u64
    }

    /// The one that is clicked most, by Zipf's law.
    pub fn first(&self) -> u64 {
        FIRST_LINK
    }
}

/// Clicks, one after the other.
pub struct Clicks {
    links: Links,
    vocabulary: Vocabulary,
    random: SmallRng,
    /// Click logs, and how far each of them is.
    logs: [(LogId, u64); LOGS],
    /// When clicks come, in Unix milliseconds: as many in each span, evenly within it.
    spans: Vec<Range<i64>>,
    count: u64,
    drawn: u64,
}

impl Clicks {
    /// So many; `spans` are in order.
    pub fn new(count: u64, links: Links, spans: Vec<Range<i64>>) -> Self {
        let mut random = SmallRng::seed_from_u64(SEED);
        let logs = std::array::from_fn(|_| (LogId(random.random()), 0));
        Clicks { links, vocabulary: Vocabulary::new(), random, logs, spans, count, drawn: 0 }
    }

    /// How many there are in all.
    pub fn total(&self) -> u64 {
        self.count
    }

    fn at_ms(&self) -> i64 {
        let spans = self.spans.len() as u64;
        let span = &self.spans[(self.drawn * spans / self.count) as usize];
        let share = (self.drawn * spans % self.count) as f64 / self.count as f64;
        span.start + ((span.end - span.start) as f64 * share) as i64
    }
}

impl Iterator for Clicks {
    type Item = Click;

    fn next(&mut self) -> Option<Click> {
        if self.drawn == self.count {
            return None;
        }
        let at_ms = self.at_ms();
        self.drawn += 1;
        let random = &mut self.random;
        let visitor = random.random_range(0..=self.count / CLICKS_OF_VISITOR);
        let (log, offset) = &mut self.logs[random.random_range(0..LOGS)];
        *offset += random.random_range(RECORD_BYTES);
        Some(Click {
            log: *log,
            offset: *offset,
            at_ms,
            link: self.links.draw(random),
            visitor: SmallRng::seed_from_u64(visitor).random(),
            bot: random.random_ratio(1, CLICKS_OF_BOT),
            place: self.vocabulary.places.draw(random),
            browser: self.vocabulary.browsers.draw(random),
            os: self.vocabulary.systems.draw(random),
            device: self.vocabulary.devices.draw(random),
            referer: self.vocabulary.referers.draw(random),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    const COUNT: u64 = 20_000;

    fn drawn(spread: Spread) -> Vec<Click> {
        Clicks::new(COUNT, Links::new(100, spread), vec![1_000..2_000, 5_000..6_000]).collect()
    }

    fn of_links(clicks: &[Click]) -> Vec<f64> {
        let mut counts = BTreeMap::new();
        clicks.iter().for_each(|click| *counts.entry(click.link).or_insert(0.0) += 1.0);
        counts.into_values().collect()
    }

    /// Seen to fail when all weights were the first one's, and when a weight fell with the square of the rank.
    #[test]
    fn links_are_clicked_by_their_law() {
        let zipf = of_links(&drawn(Spread::Zipf));
        for (rank, share) in [(2, 0.5), (10, 0.1)] {
            let found = zipf[rank - 1] / zipf[0];
            assert!((found / share - 1.0).abs() < 0.2, "rank {rank}: {found}");
        }
        let uniform = of_links(&drawn(Spread::Uniform));
        assert_eq!(uniform.len(), 100);
        assert!(uniform.iter().all(|clicks| (120.0..=290.0).contains(clicks)), "{uniform:?}");
    }

    /// What a consumer relies on, and a topic made of other clicks would not have. Seen to fail when an offset was drawn anew for each click.
    #[test]
    fn logs_and_times_rise() {
        let clicks = drawn(Spread::Zipf);
        let mut logs = BTreeMap::new();
        for click in &clicks {
            let before = logs.insert(click.log, click.offset).unwrap_or_default();
            assert!(click.offset > before);
        }
        assert_eq!(logs.len(), LOGS);
        assert!(clicks.is_sorted_by_key(|click| click.at_ms));
        let first = clicks.iter().filter(|click| (1_000..2_000).contains(&click.at_ms)).count();
        let second = clicks.iter().filter(|click| (5_000..6_000).contains(&click.at_ms)).count();
        assert_eq!((first, second), (10_000, 10_000));
    }

    #[test]
    fn two_runs_draw_the_same_clicks() {
        assert_eq!(drawn(Spread::Zipf), drawn(Spread::Zipf));
    }
}
