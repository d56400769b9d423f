//! Memory for each cached link, beside the bytes of its URL.

use std::{fmt::Write as _, path::PathBuf};

use anyhow::Result;
use clap::Args;
use septet_tests::bench::{cpu::resident_bytes, report::Report};
use serde::Serialize;

use crate::{Common, links, redirects};

#[derive(Debug, Args)]
pub struct Settings {
    /// Where `links` made the links
    #[arg(long)]
    dir: PathBuf,
}

#[derive(Debug, Serialize)]
struct Figures {
    links: usize,
    url_bytes_each: f64,
    key_bytes_each: f64,
    /// Resident, before and with every link cached: all, and the part that is no file's.
    before_bytes: u64,
    cached_bytes: u64,
    anonymous_before_bytes: u64,
    anonymous_cached_bytes: u64,
    /// Growth of the anonymous part for each link.
    bytes_each: f64,
}

/// Measures.
///
/// # Errors
/// When a link is not there.
pub fn run(settings: &Settings, common: &Common) -> Result<()> {
    let made = links::made_in(&settings.dir)?;
    let septet = crate::start(&links::data_dir(&settings.dir), &common.septet_flag, None)?;
    let (before_bytes, anonymous_before_bytes) = resident_bytes(septet.pid())?;
    redirects::cache(septet.listen, common.connections, &made)?;
    let (cached_bytes, anonymous_cached_bytes) = resident_bytes(septet.pid())?;
    septet.stop();

    let each = |bytes: u64| bytes as f64 / made.len() as f64;
    let total = |len: fn(&links::Made) -> usize| made.iter().map(len).sum::<usize>() as u64;
    let figures = Figures {
        links: made.len(),
        url_bytes_each: each(total(|link| link.url.len())),
        key_bytes_each: each(total(|link| link.key.len())),
        before_bytes,
        cached_bytes,
        anonymous_before_bytes,
        anonymous_cached_bytes,
        bytes_each: each(anonymous_cached_bytes.saturating_sub(anonymous_before_bytes)),
    };
    let mut table = String::from("| | |\n|---|---|\n");
    let mb = |bytes: u64| format!("{:.1} MB", bytes as f64 / 1e6);
    let rows = [
        ("links cached", figures.links.to_string()),
        ("resident before", mb(before_bytes)),
        ("resident with all cached", mb(cached_bytes)),
        ("bytes for each link", format!("{:.1}", figures.bytes_each)),
        ("of which its URL", format!("{:.1}", figures.url_bytes_each)),
        ("of which its key", format!("{:.1}", figures.key_bytes_each)),
    ];
    for (name, value) in rows {
        writeln!(table, "| {name} | {value} |")?;
    }
    Report::new("Memory for cached links", figures)?.publish(&table, common.out.as_deref())
}
