//! The benchmark: what a redirect, a creation, a cached link, an id, a lease and a counted click cost, and how soon what is asked is answered,
//! measured on the real binaries over loopback.
//!
//! `links` makes the links once; `redirects` and `memory` use them; the others need none: `creations`, `cluster`, `ids` and `leases`, and
//! for the way of a click `counting`, `questions`, `answers` and `outage`. Each prints a table, and writes it with the raw figures when `--out` names
//! a file.

mod answers;
mod clicks;
mod cluster;
mod counting;
mod creations;
mod ids;
mod leases;
mod links;
mod memory;
mod outage;
mod questions;
mod redirects;

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::{Args, Parser, Subcommand};
use septet_tests::{
    bench::pin,
    mode::Mode,
    septet::{Septet, Setup},
};

#[derive(Debug, Parser)]
#[command(name = "septet-bench", version)]
#[command(about = "What a redirect, a creation, a cached link, an id, a lease and a counted click cost")]
struct Cli {
    #[command(subcommand)]
    subject: Subject,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Subcommand)]
enum Subject {
    /// Makes the links that `redirects` and `memory` use, through the API
    Links(links::Settings),
    /// CPU time and latency of a cached redirect, beside nginx, in turn
    Redirects(redirects::Settings),
    /// Durable creations a second through the API
    Creations(creations::Settings),
    /// Creations and redirects that miss the cache with links in Cassandra, beside the bare driver, in turn
    Cluster(cluster::Settings),
    /// Redirects in the whole system while Kafka is away
    Outage(outage::Settings),
    /// Memory for each cached link
    Memory(memory::Settings),
    /// What an id costs on the request path, and how many a second the allocator gives
    Ids(ids::Settings),
    /// Leases a second from the token service on MariaDB
    Leases(leases::Settings),
    /// Clicks a second that the analytics service counts, beside a bare client that reads the same topic, in turn
    Counting(counting::Settings),
    /// How long the analytics service takes to answer questions about three months of a link
    Questions(questions::Settings),
    /// Time from a click to an answer that has it, in the whole system
    Answers(answers::Settings),
}

#[derive(Debug, Args)]
struct Common {
    /// Keep-alive connections of the load client
    #[arg(long, global = true, default_value_t = 64)]
    connections: usize,
    /// A flag for septet, or the analytics service, as NAME=VALUE; may be repeated
    #[arg(long, global = true, value_parser = flag)]
    septet_flag: Vec<Flag>,
    /// Writes FILE.md and FILE.json
    #[arg(long, global = true, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// A flag of septet and its value.
type Flag = (String, String);

fn flag(text: &str) -> Result<Flag, String> {
    let (name, value) = text.split_once('=').ok_or("expected NAME=VALUE")?;
    Ok((format!("--{}", name.trim_start_matches("--")), value.to_owned()))
}

/// A septet on `data_dir`, on `core` alone if it names one.
fn start(data_dir: &std::path::Path, flags: &[Flag], core: Option<usize>) -> Result<Septet> {
    let setup =
        flags.iter().fold(Setup::in_mode(Mode::Embedded, data_dir), |setup, (name, value)| setup.flag(name, value));
    match core {
        Some(core) => pin::on_core(core, || setup.start()).with_context(|| format!("core {core}")),
        None => Ok(setup.start()),
    }
}

fn main() -> Result<()> {
    let Cli { subject, common } = Cli::parse();
    match subject {
        Subject::Links(settings) => links::run(&settings, &common),
        Subject::Redirects(settings) => redirects::run(&settings, &common),
        Subject::Creations(settings) => creations::run(&settings, &common),
        Subject::Cluster(settings) => cluster::run(&settings, &common),
        Subject::Outage(settings) => outage::run(&settings, &common),
        Subject::Memory(settings) => memory::run(&settings, &common),
        Subject::Ids(settings) => ids::run(&settings, &common),
        Subject::Leases(settings) => leases::run(&settings, &common),
        Subject::Counting(settings) => counting::run(&settings, &common),
        Subject::Questions(settings) => questions::run(&settings, &common),
        Subject::Answers(settings) => answers::run(&settings, &common),
    }
}
