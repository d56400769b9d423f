//! How long questions took at the service, by its own histogram.

use analytics::wire;
use anyhow::{Context, Result};
use serde::Serialize;

use crate::clicks::scrape::Scrape;

const SECONDS: &str = "septet_analytics_call_seconds";

/// The promise, in seconds: a bound of the histogram.
const PROMISED_S: f64 = 0.01;

/// Up to a moment: calls that took no longer than each bound, in seconds, the last of which is infinite.
#[derive(Debug, Clone, PartialEq)]
pub struct Calls {
    within: Vec<(f64, f64)>,
    seconds: f64,
}

/// What calls took, as far as a histogram tells.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Served {
    pub mean_ms: f64,
    /// The least bounds that hold this part of the calls; none if they took longer than all bounds.
    pub p50_within_ms: Option<f64>,
    pub p99_within_ms: Option<f64>,
    pub p999_within_ms: Option<f64>,
    /// The part that took ten milliseconds at most.
    pub in_time: f64,
}

impl Calls {
    /// Of questions.
    pub fn of(scrape: &Scrape) -> Self {
        let of_questions = |labels: &str| labels.contains(&format!("route=\"{}\"", wire::QUERY));
        let bound = |labels: &str| labels.split_once("le=\"")?.1.split_once('"')?.0.parse().ok();
        let (buckets, sum) = (format!("{SECONDS}_bucket"), format!("{SECONDS}_sum"));
        let within = scrape.series(&buckets).filter(|(labels, _)| of_questions(labels));
        let sums = scrape.series(&sum).filter(|(labels, _)| of_questions(labels));
        Calls {
            within: within.filter_map(|(labels, calls)| Some((bound(labels)?, calls))).collect(),
            seconds: sums.map(|(_, seconds)| seconds).sum(),
        }
    }

    /// Those since `before`.
    pub fn since(mut self, before: &Calls) -> Self {
        for (place, (_, calls)) in self.within.iter_mut().enumerate() {
            *calls -= before.within.get(place).map_or(0.0, |(_, before)| *before);
        }
        self.seconds -= before.seconds;
        self
    }

    /// These and others.
    pub fn and(mut self, others: &Calls) -> Self {
        for ((_, calls), (_, others)) in self.within.iter_mut().zip(&others.within) {
            *calls += others;
        }
        self.seconds += others.seconds;
        self
    }

    /// # Errors
    /// When there were none.
    pub fn served(&self) -> Result<Served> {
        let calls = self.within.last().map(|(_, calls)| *calls).filter(|calls| *calls > 0.0);
        let calls = calls.context("the service has counted no question")?;
        let bound_ms = |part: f64| {
            let bound = self.within.iter().find(|(_, within)| *within >= part * calls);
            bound.map(|(bound_s, _)| bound_s * 1e3).filter(|ms| ms.is_finite())
        };
        let in_time = self.within.iter().find(|(bound_s, _)| *bound_s >= PROMISED_S);
        Ok(Served {
            mean_ms: self.seconds / calls * 1e3,
            p50_within_ms: bound_ms(0.5),
            p99_within_ms: bound_ms(0.99),
            p999_within_ms: bound_ms(0.999),
            in_time: in_time.map_or(0.0, |(_, within)| within / calls),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scrape(calls: [u32; 4], seconds: f64) -> Scrape {
        let mut text = String::new();
        for (route, factor) in [("/v1/totals", 7), ("/v1/query", 1)] {
            for (bound, calls) in ["0.005", "0.01", "0.02", "+Inf"].iter().zip(calls) {
                let labels = format!("method=\"POST\",route=\"{route}\",le=\"{bound}\"");
                text += &format!("{SECONDS}_bucket{{{labels}}} {}\n", calls * factor);
            }
            text += &format!("{SECONDS}_sum{{method=\"POST\",route=\"{route}\"}} {}\n", seconds * f64::from(factor));
        }
        Scrape::from(text.as_str())
    }

    /// Seen to fail when other routes' calls were added, and when those from before were.
    #[test]
    fn quantiles_are_told_by_their_bounds() {
        let (before, after) = (Calls::of(&scrape([1, 1, 1, 1], 0.5)), Calls::of(&scrape([61, 100, 100, 101], 1.5)));
        let calls = after.since(&before);
        let served = calls.served().unwrap();
        let expected = Served {
            mean_ms: 10.0,
            p50_within_ms: Some(5.0),
            p99_within_ms: Some(10.0),
            p999_within_ms: None,
            in_time: 0.99,
        };
        assert_eq!(served, expected);
        assert_eq!(calls.clone().and(&calls).served().unwrap(), expected);
    }

    #[test]
    fn no_question_has_no_time() {
        assert!(Calls::of(&Scrape::from("")).served().is_err());
    }
}
