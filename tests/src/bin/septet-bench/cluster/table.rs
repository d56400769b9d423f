//! The run as people read it.

use std::fmt::Write as _;

use anyhow::Result;
use septet_tests::bench::report::{median, medians};

use super::{Figures, Ratios, Side, Turn, Work};

/// Threads whose part is smaller are left out.
const SHOWN_US: f64 = 1.0;

pub(super) fn table(figures: &Figures) -> Result<String> {
    let rounds = figures.turns.iter().map(|turn| turn.round + 1).max().unwrap_or_default();
    let cores = match figures.cores {
        Some((store, other)) => format!("Cassandra has core {store}, everything else core {other}"),
        None => "All processes share all cores".to_owned(),
    };
    let mut text = format!(
        "One Cassandra node, `commitlog_sync: {}`, one copy of everything. {cores}. A creation is an entry of the listing \
         and then the link, two writes; a miss is one read. CPU for each operation, in us; medians of {rounds} turns each. Others: \
         cores busy with anything else, interrupts included; median and most of any turn.\n\n\
         | work | in flight | by | each second | p50 ms | p99 ms | CPU: septet | client or driver | Cassandra | others | statements |\n\
         |---|---|---|---|---|---|---|---|---|---|---|\n",
        figures.commit_log
    );
    for ratios in &figures.ratios {
        for side in [Side::Septet, Side::Bare] {
            row(&mut text, figures, ratios, side)?;
        }
    }
    text.push_str(
        "\n| septet over the bare driver, medians of the rounds | in flight | throughput | by CPU | by CPU without the load client's |\n\
         |---|---|---|---|---|\n",
    );
    for ratios in &figures.ratios {
        let Ratios { work, in_flight, throughput, cpu, cpu_without_client } = ratios;
        writeln!(text, "| {} | {in_flight} | {throughput:.2} | {cpu:.2} | {cpu_without_client:.2} |", name(*work))?;
    }
    text.push_str("\n| thread | work | in flight | CPU us each |\n|---|---|---|---|\n");
    for Ratios { work, in_flight, .. } in &figures.ratios {
        let turns = || of(figures, *work, *in_flight, Side::Septet);
        let processes = [
            ("septet", medians(turns().map(|turn| &turn.septet_cpu_us_by_thread))),
            ("Cassandra", medians(turns().map(|turn| &turn.cassandra_cpu_us_by_thread))),
        ];
        for (process, threads) in processes {
            for (thread, us) in threads.into_iter().filter(|(_, us)| *us >= SHOWN_US) {
                writeln!(text, "| {process}: {thread} | {} | {in_flight} | {us:.1} |", name(*work))?;
            }
        }
    }
    Ok(text)
}

fn row(text: &mut String, figures: &Figures, ratios: &Ratios, side: Side) -> Result<()> {
    let (work, in_flight) = (ratios.work, ratios.in_flight);
    let turns = || of(figures, work, in_flight, side);
    let of = |pick: &dyn Fn(&Turn) -> f64| median(turns().map(pick));
    let by = match side {
        Side::Septet => "septet",
        Side::Bare => "bare driver",
    };
    write!(
        text,
        "| {} | {in_flight} | {by} | {:.0} | {:.2} | {:.2} | {:.1} | {:.1} | {:.1} | {:.2}, {:.2} |",
        name(work),
        of(&|turn| turn.per_second),
        of(&|turn| turn.latency.p50_us / 1e3),
        of(&|turn| turn.latency.p99_us / 1e3),
        of(&|turn| turn.septet_cpu_us),
        of(&|turn| turn.client_cpu_us),
        of(&|turn| turn.cassandra_cpu_us),
        of(&|turn| turn.others_cores),
        turns().map(|turn| turn.others_cores).fold(0.0, f64::max),
    )?;
    let statements = medians(turns().map(|turn| &turn.statements));
    let statements = statements.into_iter().filter(|(_, each)| *each >= 0.005);
    let mut told: Vec<_> = statements.map(|(table, each)| format!("{table} {each:.2}")).collect();
    let look_ups: Vec<f64> = turns().filter_map(|turn| turn.look_ups).collect();
    if !look_ups.is_empty() {
        told.push(format!("septet says {:.2}", median(look_ups)));
    }
    writeln!(text, " {} |", told.join(", "))?;
    Ok(())
}

fn of(figures: &Figures, work: Work, in_flight: usize, side: Side) -> impl Iterator<Item = &Turn> {
    figures.turns.iter().filter(move |turn| turn.is(work, in_flight, side))
}

fn name(work: Work) -> &'static str {
    match work {
        Work::Creations => "creation",
        Work::Misses => "miss",
    }
}
