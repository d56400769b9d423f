//! The run as people read it.

use std::fmt::Write as _;

use anyhow::Result;
use septet_tests::bench::report::{median, medians};

use super::{
    Bytes, Figures, Ratios,
    turn::{CASSANDRA, KAFKA, Side, Turn, Written},
};
use crate::clicks::draw::Spread;

/// Threads whose part is smaller are left out.
const SHOWN_US: f64 = 0.05;

pub(super) fn table(figures: &Figures) -> Result<String> {
    let mut text = introduction(figures);
    text.push_str(
        "| clicks | partitions | by | each second | CPU us: its own | Kafka | Cassandra | others | rows written per million | days read \
         per million | bytes of days written per click |\n|---|---|---|---|---|---|---|---|---|---|---|\n",
    );
    for Bytes { spread, partitions, .. } in &figures.bytes {
        for side in [Side::Bare, Side::Cassandra, Side::Sqlite] {
            row(&mut text, figures, *spread, *partitions, side)?;
        }
    }
    text.push_str(
        "\n| septet over the bare client, medians of the rounds | clicks | partitions | throughput | by CPU | by CPU, Kafka's and \
         Cassandra's included |\n|---|---|---|---|---|---|\n",
    );
    for Ratios { spread, partitions, side, throughput, cpu, cpu_all } in &figures.ratios {
        let (by, spread) = (name(*side), spelled(*spread));
        writeln!(text, "| {by} | {spread} | {partitions} | {throughput:.3} | {cpu:.3} | {cpu_all:.3} |")?;
    }
    text.push_str(
        "\n| bytes per click | partitions | links clicked | event | in Kafka | in Cassandra | in SQLite |\n|---|---|---|---|---|---|---|\n",
    );
    for Bytes { spread, partitions, links_clicked, event, kafka, cassandra, sqlite } in &figures.bytes {
        let [cassandra, sqlite] = [cassandra, sqlite].map(|bytes| bytes.map_or(String::new(), |b| format!("{b:.1}")));
        let spread = spelled(*spread);
        writeln!(
            text,
            "| {spread} | {partitions} | {links_clicked} | {event:.1} | {kafka:.1} | {cassandra} | {sqlite} |"
        )?;
    }
    text.push_str("\n| thread | clicks | partitions | CPU us each |\n|---|---|---|---|\n");
    for Bytes { spread, partitions, .. } in &figures.bytes {
        for side in [Side::Bare, Side::Cassandra, Side::Sqlite] {
            threads(&mut text, figures, *spread, *partitions, side)?;
        }
    }
    Ok(text)
}

fn introduction(figures: &Figures) -> String {
    let rounds = figures.turns.iter().map(|turn| turn.round + 1).max().unwrap_or_default();
    let cassandra = match &figures.commit_log {
        Some(commit_log) => format!(" One Cassandra node, `commitlog_sync: {commit_log}`, one copy of everything."),
        None => String::new(),
    };
    let cores = match figures.cores {
        Some((store, other)) => format!("Cassandra has core {store}, everything else core {other}"),
        None => "All processes share all cores".to_owned(),
    };
    let failures: f64 = written(figures.turns.iter()).map(|written| written.failures).sum();
    let failures = match failures {
        0.0 => String::new(),
        failures => format!(" {failures} attempts of the service failed, and were repeated."),
    };
    format!(
        "{} clicks in each topic, on {} links, within the last four hours of each of two days; written by a forwarder that catches up, in batches as full as \
         they get.{cassandra} {cores}. The bare client polls every record, and looks at its length. The service's time is from being given its \
         partitions until all offsets are committed behind the rows; then every link's total was asked for, and was right. CPU for each \
         click, in us; medians of {rounds} turns each. Others: cores busy with anything else, interrupts included; median and most of any \
         turn.{failures}\n\n",
        figures.clicks, figures.links
    )
}

fn row(text: &mut String, figures: &Figures, spread: Spread, partitions: u32, side: Side) -> Result<()> {
    let turns: Vec<_> = of(figures, spread, partitions, side).collect();
    if turns.is_empty() {
        return Ok(());
    }
    let mid = |pick: &dyn Fn(&Turn) -> f64| median(turns.iter().map(|turn| pick(turn)));
    write!(
        text,
        "| {} | {partitions} | {} | {:.0} | {:.2} | {:.2} | {:.2} | {:.2}, {:.2} |",
        spelled(spread),
        name(side),
        mid(&|turn| turn.per_second),
        mid(&Turn::own_cpu_us),
        mid(&|turn| turn.of(KAFKA)),
        mid(&|turn| turn.of(CASSANDRA)),
        mid(&|turn| turn.others_cores),
        turns.iter().map(|turn| turn.others_cores).fold(0.0, f64::max),
    )?;
    let written: Vec<_> = written(turns.iter().copied()).collect();
    let mid = |pick: &dyn Fn(&Written) -> f64| median(written.iter().map(|written| pick(written)));
    match side {
        Side::Bare => writeln!(text, " | | |")?,
        Side::Cassandra | Side::Sqlite => {
            let bytes = mid(&|written| written.day_bytes);
            let bytes = if side == Side::Cassandra { format!("{bytes:.0}") } else { String::new() };
            let (rows, read) =
                (mid(&|written| written.rows_per_million), mid(&|written| written.days_read_per_million));
            writeln!(text, " {rows:.0} | {read:.0} | {bytes} |")?;
        }
    }
    Ok(())
}

fn threads(text: &mut String, figures: &Figures, spread: Spread, partitions: u32, side: Side) -> Result<()> {
    let threads = medians(of(figures, spread, partitions, side).map(|turn| &turn.cpu_us_by_thread));
    for (thread, us) in threads.into_iter().filter(|(_, us)| *us >= SHOWN_US) {
        writeln!(text, "| {}: {thread} | {} | {partitions} | {us:.2} |", name(side), spelled(spread))?;
    }
    Ok(())
}

fn of(figures: &Figures, spread: Spread, partitions: u32, side: Side) -> impl Iterator<Item = &Turn> {
    figures.turns.iter().filter(move |turn| turn.is(spread, partitions, side))
}

fn written<'a>(turns: impl Iterator<Item = &'a Turn>) -> impl Iterator<Item = &'a Written> {
    turns.filter_map(|turn| turn.written.as_ref())
}

fn name(side: Side) -> &'static str {
    match side {
        Side::Bare => "bare client",
        Side::Cassandra => "septet into Cassandra",
        Side::Sqlite => "septet into SQLite",
    }
}

fn spelled(spread: Spread) -> &'static str {
    match spread {
        Spread::Zipf => "Zipf",
        Spread::Uniform => "uniform",
    }
}
