//! How long a database of many small tables takes, next to `pg_dump -Fd -j2` and `pg_restore -j2`.
//!
//! `make bench-small` runs it. Both sides move the same source, by turns, each time into a database
//! that is new: dropping thousands of files makes file systems slow for minutes, and with that
//! whatever comes next. The servers are durable, as in production. The last line is JSON; figures
//! are medians over the rounds, memory is the highest.
//!
//! Environment: `ROUNDS`, `TABLES`, `SET` (`many`: tables with a key, a sequence and an index;
//! `related`: foreign keys and partitions as well), `PGKEDGE` (another build to measure).
#![expect(clippy::print_stdout, reason = "its figures are what it is for")]
#![expect(clippy::disallowed_methods, reason = "it measures the time that really passes")]
#![expect(clippy::panic, reason = "a benchmark that cannot go on stops")]

mod process;
mod servers;

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::process::{measured, output};
use crate::servers::Servers;

/// Phases that the peers have no match for.
const OF_OUR_OWN: &[&str] = &["verify", "cleanup"];

fn main() {
    let rounds = number("ROUNDS", 3).max(1);
    let tables = number("TABLES", 2_000);
    let set = std::env::var("SET").unwrap_or_else(|_| "many".to_owned());
    let servers = Servers::up();
    servers.fill(&set, tables);
    let rounds: Vec<Round> = (1..=rounds).map(|number| round(&servers, number)).collect();
    let median = |of: fn(&Round) -> f64| median(rounds.iter().map(of).collect());
    let (run, peer) = (median(|round| round.run), median(|round| round.peer));
    let highest = |of: fn(&Round) -> u64| rounds.iter().map(of).max().unwrap_or(0);
    let figures = json!({
        "set": set,
        "tables": tables,
        "rounds": rounds.len(),
        "compile_s": hundredths(median(|round| round.compile)),
        "run_s": hundredths(run),
        "cpu_s": hundredths(median(|round| round.cpu)),
        "peer_s": hundredths(peer),
        "ratio": hundredths(run / peer),
        "peak_mib": highest(|round| round.peak_kib) / 1024,
        "records": highest(|round| round.records),
        // A run that finds one ends with another exit code, and the benchmark with it.
        "differences": 0,
    });
    println!("{figures}");
}

/// What one round took; times in seconds.
struct Round {
    /// `pgkedge plan`, reading of both catalogs included.
    compile: f64,
    /// `pgkedge run` as a whole, less the phases that the peers have no match for.
    run: f64,
    /// Processor time of pgkedge itself, in the whole run.
    cpu: f64,
    peer: f64,
    peak_kib: u64,
    records: u64,
}

fn round(servers: &Servers, number: usize) -> Round {
    let folder = servers.folder(&format!("round{number}"));
    let (plan, state) = (servers.plan(&folder), folder.join("run"));
    let compile = measured(pgkedge("plan").arg(&plan).arg("--out").arg(folder.join("dry-run")));
    servers.settle();
    let run =
        measured(pgkedge("run").arg(&plan).args(["--yes", "--quiet"]).arg("--state").arg(&state));
    let of_run =
        |command| output(pgkedge(command).args(["--output", "json", "--state"]).arg(&state));
    let status: Value = serde_json::from_str(&of_run("status")).expect("status is JSON");
    let phases = status["report"]["phases"].as_array().expect("a report has phases");
    let seconds = |phase: &Value| phase["seconds"].as_f64().unwrap_or(0.0);
    let times: Vec<String> =
        phases.iter().map(|phase| format!("{} {:.2}", phase["phase"], seconds(phase))).collect();
    let own = phases
        .iter()
        .filter(|phase| OF_OUR_OWN.contains(&phase["phase"].as_str().expect("a phase has a name")));
    let own: f64 = own.map(seconds).sum();
    let records = of_run("log").lines().count() as u64;
    servers.settle();
    let peer = peer(servers, &folder);
    println!(
        "round {number}: plan {:.2} s, run {:.2} s and verified {:.2} s, peer {peer:.2} s; {}",
        compile.wall,
        run.wall - own,
        run.wall,
        times.join(", ").replace('"', "")
    );
    let peak_kib = run.peak_kib.max(compile.peak_kib);
    Round { compile: compile.wall, run: run.wall - own, cpu: run.cpu, peer, peak_kib, records }
}

fn peer(servers: &Servers, folder: &Path) -> f64 {
    let target = servers.fresh_database();
    let dump = folder.join("dump");
    let dumped = measured(servers.source_program("pg_dump").args(["-Fd", "-j2", "-f"]).arg(&dump));
    let mut restore = servers.target_program("pg_restore", &target);
    let restored = measured(restore.arg("-j2").arg(&dump));
    dumped.wall + restored.wall
}

fn pgkedge(command: &str) -> Command {
    let program = std::env::var_os("PGKEDGE");
    let mut pgkedge = Command::new(program.unwrap_or_else(|| env!("CARGO_BIN_EXE_pgkedge").into()));
    pgkedge.arg(command);
    pgkedge
}

fn number(name: &str, otherwise: usize) -> usize {
    std::env::var(name).map_or(otherwise, |text| text.parse().expect("a number"))
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(0.0)
}

fn hundredths(figure: f64) -> f64 {
    (figure * 100.0).round() / 100.0
}
