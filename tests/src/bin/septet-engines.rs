//! Starts the engines once for a run of many test programs, and holds them until its standard input ends.
//!
//! Standard output has a line for each engine, `SEPTET_TEST_...=where`, and then `ready`. What it is doing goes to standard
//! error. An engine that the environment names already is left alone.

use std::{env, io, process::ExitCode, thread, time::Instant};

use anyhow::{Result, anyhow};
use septet_tests::engines::{Engine, cassandra, cassandra::Cassandra, kafka, kafka::Kafka, mariadb, mariadb::MariaDb};

/// An engine that runs, whichever it is: gone when dropped.
type Running = Box<dyn Send>;

fn main() -> ExitCode {
    match start_all() {
        Ok(running) => {
            println!("ready");
            io::copy(&mut io::stdin(), &mut io::sink()).ok();
            drop(running);
            ExitCode::SUCCESS
        }
        Err(err) => {
            eprintln!("{err:#}");
            ExitCode::FAILURE
        }
    }
}

fn start_all() -> Result<Vec<Running>> {
    let begun = Instant::now();
    let starts = [
        thread::spawn(|| start(mariadb::VARIABLE, |engine: &MariaDb| engine.address().to_string())),
        thread::spawn(|| start(kafka::VARIABLE, Kafka::bootstrap)),
        thread::spawn(|| start(cassandra::VARIABLE, Cassandra::contact_point)),
    ];
    let mut running = Vec::new();
    for start in starts {
        running.extend(start.join().map_err(|_| anyhow!("an engine's start panicked"))??);
    }
    eprintln!("engines: ready after {:.1} s", begun.elapsed().as_secs_f64());
    Ok(running)
}

fn start<E: Engine + Send + 'static>(variable: &str, place: impl Fn(&E) -> String) -> Result<Option<Running>> {
    if env::var_os(variable).is_some() {
        eprintln!("engines: {variable} names one that runs already");
        return Ok(None);
    }
    let begun = Instant::now();
    let engine = E::try_start()?;
    println!("{variable}={}", place(&engine));
    eprintln!("engines: {} after {:.1} s", engine.server().name(), begun.elapsed().as_secs_f64());
    Ok(Some(Box::new(engine)))
}
