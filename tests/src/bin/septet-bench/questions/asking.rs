//! Questions about links that are clicked often, and the service's answers.

use std::{net::SocketAddr, ops::Range};

use analytics::{
    query::{Answer, Bots, Dimension, Group, Links, Query},
    rollups::{DAY_MS, Day},
    wire,
};
use anyhow::{Result, ensure};
use rand::rngs::SmallRng;
use septet_tests::{analytics_service::SECRET, bench::load::Traffic, http1};

use crate::clicks::draw;

/// Values in an answer: as many as the API answers by default.
const VALUES: u32 = 100;

/// A kind of question.
pub struct Kind {
    pub name: String,
    group: Group,
    /// First day's beginning, and the last one's end, in Unix milliseconds.
    span_ms: Range<i64>,
}

impl Kind {
    /// Every kind, about so many days of a time zone before its `midnight_ms`; and the series by days of UTC as well.
    pub fn all(days: i64, midnight_ms: i64) -> Vec<Kind> {
        let first_ms = midnight_ms - days * DAY_MS;
        let series = |first_ms: i64| {
            Group::Series((0..days).map(|day| first_ms + day * DAY_MS..first_ms + (day + 1) * DAY_MS).collect())
        };
        let utc_ms = Day::of(first_ms + DAY_MS - 1).start_ms();
        let values = Dimension::ALL
            .into_iter()
            .filter(|dimension| *dimension != Dimension::Link)
            .map(|dimension| (format!("{dimension:?}").to_lowercase(), Group::Values { dimension, limit: VALUES }));
        [("count", Group::Count), ("days", series(first_ms)), ("days, UTC", series(utc_ms))]
            .map(|(name, group)| (name.to_owned(), group))
            .into_iter()
            .chain(values)
            .map(|(name, group)| Kind { name, group, span_ms: first_ms..midnight_ms })
            .collect()
    }
}

/// So many questions of one kind, about links that are drawn as clicks are.
pub struct Asking<'a> {
    kind: &'a Kind,
    links: &'a draw::Links,
    random: &'a mut SmallRng,
    service: SocketAddr,
    left: u64,
}

impl<'a> Asking<'a> {
    pub fn new(
        kind: &'a Kind,
        links: &'a draw::Links,
        random: &'a mut SmallRng,
        service: SocketAddr,
        questions: u64,
    ) -> Self {
        Asking { kind, links, random, service, left: questions }
    }
}

impl Traffic for Asking<'_> {
    fn next(&mut self, out: &mut Vec<u8>) -> bool {
        let Some(left) = self.left.checked_sub(1) else { return false };
        self.left = left;
        let Kind { group, span_ms, .. } = self.kind;
        let links = Links::One(self.links.draw(self.random));
        let query = Query { links, span_ms: span_ms.clone(), bots: Bots::Exclude, group: group.clone() };
        let body = serde_json::to_string(&query).expect("a question is JSON");
        let head = format!(
            "POST {} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {SECRET}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n",
            wire::QUERY,
            self.service,
            body.len()
        );
        out.extend_from_slice(head.as_bytes());
        out.extend_from_slice(body.as_bytes());
        true
    }

    fn answered(&mut self, answer: &http1::Answer<'_>) -> Result<()> {
        let body = || String::from_utf8_lossy(answer.body);
        ensure!(answer.status == 200, "{}: {}", answer.status, body());
        let fits = match (&self.kind.group, serde_json::from_slice(answer.body)?) {
            (Group::Count, Answer::Count(_)) => true,
            (Group::Series(spans), Answer::Series(counted)) => counted.len() == spans.len(),
            (Group::Values { .. }, Answer::Values(_)) => true,
            _ => false,
        };
        ensure!(fits, "{} was asked for: {}", self.kind.name, body());
        Ok(())
    }
}
