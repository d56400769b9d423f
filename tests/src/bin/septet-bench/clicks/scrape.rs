//! What a service's `/metrics` says at one moment.

use anyhow::{Context, Result, ensure};
use septet_tests::{process::Running, raw};

/// A text in Prometheus' format.
pub struct Scrape(String);

impl Scrape {
    /// # Errors
    /// When the service does not answer.
    pub fn of(service: &Running) -> Result<Self> {
        let request = b"GET /metrics HTTP/1.1\r\nHost: ops\r\nConnection: close\r\n\r\n";
        let answer = raw::exchange(service.ops, request).context("the service does not say what it counts")?;
        ensure!(answer.status == 200, "/metrics answers {}", answer.status);
        Ok(Scrape(String::from_utf8(answer.body)?))
    }

    /// A metric, added up over its labels; zero while there is none of this name.
    pub fn sum(&self, name: &str) -> f64 {
        self.series(name).map(|(_, value)| value).sum()
    }

    /// The series of a metric: their labels as they are written, and their values.
    pub fn series<'a>(&'a self, name: &'a str) -> impl Iterator<Item = (&'a str, f64)> {
        self.0.lines().filter_map(move |line| {
            let (series, value) = line.strip_prefix(name)?.rsplit_once(' ')?;
            let labels = match series {
                "" => "",
                labels => labels.strip_prefix('{')?.strip_suffix('}')?,
            };
            Some((labels, value.parse().ok()?))
        })
    }
}

#[cfg(test)]
impl From<&str> for Scrape {
    fn from(text: &str) -> Self {
        Scrape(text.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seen to fail when a metric was taken for another that begins with its name.
    #[test]
    fn a_metric_is_added_up_over_its_labels() {
        let scrape = Scrape::from("# HELP a_total x\na_total 3\nb{of=\"x y\"} 1\nb{of=\"z\"} 2.5\nb_more 100\n");
        assert_eq!([scrape.sum("a_total"), scrape.sum("b"), scrape.sum("c")], [3.0, 3.5, 0.0]);
        assert_eq!(scrape.series("b").next(), Some(("of=\"x y\"", 1.0)));
    }
}
