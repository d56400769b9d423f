//! The links that a benchmark works on: made through the API, and written down beside the data.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use clap::Args;
use septet_tests::{
    bench::load::{self, Load, Outcome, Pace, Traffic},
    http1::Answer,
    septet::{API_KEY, DOMAIN, Septet},
};
use serde::Deserialize;

use crate::Common;

/// The longest that making the links may take.
const LIMIT: Duration = Duration::from_secs(3600);

#[derive(Debug, Args)]
pub struct Settings {
    /// Where the data and the list of links go; must not exist
    #[arg(long)]
    dir: PathBuf,
    /// How many
    #[arg(long, default_value_t = 1_000_000)]
    links: usize,
}

/// Makes the links.
///
/// # Errors
/// When septet does not make them all.
pub fn run(settings: &Settings, common: &Common) -> Result<()> {
    let data_dir = data_dir(&settings.dir);
    fs::create_dir(&settings.dir).with_context(|| format!("making {}", settings.dir.display()))?;
    fs::create_dir(&data_dir)?;
    let septet = crate::start(&data_dir, &common.septet_flag, None)?;
    let mut creation = Creation::new(settings.links);
    let outcome = create(&septet, common.connections, LIMIT, &mut creation)?;
    ensure!(creation.made.len() == settings.links, "{} of {} links made", creation.made.len(), settings.links);
    septet.stop();
    let mut list = String::new();
    for link in &creation.made {
        writeln!(list, "{}\t{}", link.key, link.url)?;
    }
    fs::write(list_file(&settings.dir), list)?;
    println!("{} links made, {:.0} a second", outcome.answers, outcome.per_second());
    Ok(())
}

/// A link that was made.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Made {
    pub key: String,
    pub url: String,
}

/// The links that were made in `dir`.
///
/// # Errors
/// When none were.
pub fn made_in(dir: &Path) -> Result<Vec<Made>> {
    let file = list_file(dir);
    let list = fs::read_to_string(&file).with_context(|| format!("{}: make the links first", file.display()))?;
    list.lines()
        .map(|line| {
            let (key, url) = line.split_once('\t').context("a line without a tab")?;
            Ok(Made { key: key.into(), url: url.into() })
        })
        .collect()
}

/// Where septet's data is, in `dir`.
pub fn data_dir(dir: &Path) -> PathBuf {
    dir.join("data")
}

fn list_file(dir: &Path) -> PathBuf {
    dir.join("links.tsv")
}

/// Makes links at full speed until there are enough of them, or `time` is over.
///
/// # Errors
/// When one is not made.
pub fn create(septet: &Septet, connections: usize, time: Duration, creation: &mut Creation) -> Result<Outcome> {
    load::run(septet.listen, Load { connections, pace: Pace::Saturated, time }, creation)
}

/// Where the n-th link leads.
pub fn url(n: u64) -> String {
    format!("https://www.example.com/2026/11/20/a-title-of-the-usual-length?article={n}")
}

/// Traffic that makes links, each to a URL of its own.
pub struct Creation {
    links: usize,
    asked: usize,
    body: String,
    pub made: Vec<Made>,
}

impl Creation {
    /// At most `links` of them.
    pub fn new(links: usize) -> Self {
        Self { links, asked: 0, body: String::new(), made: Vec::new() }
    }
}

impl Traffic for Creation {
    fn next(&mut self, out: &mut Vec<u8>) -> bool {
        if self.asked == self.links {
            return false;
        }
        self.body.clear();
        let n = self.asked;
        write!(self.body, r#"{{"url":"{}"}}"#, url(n as u64)).expect("a String takes all");
        let len = self.body.len();
        let head = format!(
            "POST /api/links HTTP/1.1\r\nHost: {DOMAIN}\r\nAuthorization: Bearer {API_KEY}\r\n\
             Content-Type: application/json\r\nContent-Length: {len}\r\n\r\n"
        );
        out.extend_from_slice(head.as_bytes());
        out.extend_from_slice(self.body.as_bytes());
        self.asked += 1;
        true
    }

    fn answered(&mut self, answer: &Answer<'_>) -> Result<()> {
        ensure!(answer.status == 200, "{}: {}", answer.status, String::from_utf8_lossy(answer.body));
        self.made.push(serde_json::from_slice(answer.body)?);
        Ok(())
    }
}
