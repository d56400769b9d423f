//! The run as people read it.

use std::fmt::Write as _;

use anyhow::Result;
use septet_tests::bench::report::{median, medians};

use super::{Answered, Figures, Turn};

pub(super) fn table(figures: &Figures) -> Result<String> {
    let mut text = introduction(figures);
    text.push_str(
        "| question | connections | p50 ms | p99 ms | p99.9 ms | longest ms | at the service: mean ms | p99 ms | p99.9 ms | within 10 ms \
         |\n|---|---|---|---|---|---|---|---|---|---|\n",
    );
    for Answered { kind, in_flight, latency, served, .. } in &figures.answered {
        let within = |bound_ms: Option<f64>| bound_ms.map_or("longer".to_owned(), |ms| format!("at most {ms}"));
        writeln!(
            text,
            "| {} | {in_flight} | {:.2} | {:.2} | {:.2} | {:.2} | {:.2} | {} | {} | {:.2}% |",
            kind.as_deref().unwrap_or("all"),
            latency.p50_us / 1e3,
            latency.p99_us / 1e3,
            latency.p999_us / 1e3,
            latency.max_us / 1e3,
            served.mean_ms,
            within(served.p99_within_ms),
            within(served.p999_within_ms),
            served.in_time * 100.0,
        )?;
    }
    text.push_str(
        "\n| question | connections | each second | reads | CPU us: septet | client | Cassandra | others |\n|---|---|---|---|---|---|---|---|\n",
    );
    for Answered { kind, in_flight, .. } in &figures.answered {
        if let Some(kind) = kind {
            cost(&mut text, figures, kind, *in_flight)?;
        }
    }
    Ok(text)
}

fn introduction(figures: &Figures) -> String {
    let Figures { clicks, links, days, partitions, commit_log, day_partitions, most_clicks, .. } = figures;
    let rounds = figures.turns.iter().map(|turn| turn.round + 1).max().unwrap_or_default();
    let questions: u64 = figures.answered.iter().filter(|answered| answered.kind.is_none()).map(|a| a.questions).sum();
    format!(
        "{clicks} clicks within {days} days on {links} links by Zipf's law, through a topic of {partitions} partitions; the most clicked link \
         has {most_clicks}. One Cassandra node, `commitlog_sync: {commit_log}`, one copy of everything, not compacting any more. All processes \
         share all cores. Each question is about those {days} days of one link, by the calendar of a time zone ten hours east of UTC, drawn by the same law, and values are at most 100. The days of \
         the most clicked link lie in {day_partitions} partitions, its totals, which tell where they begin, in one more; reads are \
         statements as Cassandra counts them, some of the same partition. {questions} questions in {rounds} rounds; latencies are of all of them, and \
         as many of each kind are in those of all. The service's are from its own histogram, which knows bounds. Costs \
         are for each question, medians of the rounds. Others: cores busy with anything else, interrupts included.\n\n"
    )
}

fn cost(text: &mut String, figures: &Figures, kind: &str, in_flight: usize) -> Result<()> {
    let turns: Vec<_> = figures.turns.iter().filter(|turn| turn.kind == kind && turn.in_flight == in_flight).collect();
    let mid = |pick: &dyn Fn(&Turn) -> f64| median(turns.iter().map(|turn| pick(turn)));
    let cpu = |process| mid(&|turn| turn.cpu_us.get(process).copied().unwrap_or_default());
    let reads = medians(turns.iter().map(|turn| &turn.reads));
    let reads: Vec<_> = reads.into_iter().map(|(table, each)| format!("{table} {each:.1}")).collect();
    writeln!(
        text,
        "| {kind} | {in_flight} | {:.0} | {} | {:.0} | {:.0} | {:.0} | {:.2} |",
        mid(&|turn| turn.per_second),
        reads.join(", "),
        cpu("septet"),
        cpu("client"),
        cpu("cassandra"),
        mid(&|turn| turn.others_cores),
    )?;
    Ok(())
}
