//! Databases that are written to all the while they move. `make live ROUNDS=10` does more of it.

mod cutover;
pub(crate) mod equality;
pub(crate) mod fixture;
pub(crate) mod traces;

use std::hash::{BuildHasher as _, RandomState};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use pgkedge_model::Server;
use pgkedge_sandbox::{Options, Random, Report};
use serde_json::{Map, Value, json};

use crate::harness::{Side, tell, wait_for};
use equality::assert_equal;
use fixture::{Live, Pipeline};
use traces::{Traces, assert_replica_follows};

#[test]
fn a_full_load_with_capture_loses_nothing_while_it_is_written_to_and_killed() {
    moves_alive(Pipeline::FullLoadAndCapture, seed(), &Options::default());
}

#[test]
fn a_load_from_a_paused_replica_loses_nothing_while_it_is_written_to_and_killed() {
    moves_alive(Pipeline::PausedReplica, seed(), &Options::default());
}

#[test]
fn a_capture_alone_loses_nothing_while_it_is_written_to_and_killed() {
    moves_alive(Pipeline::CaptureOnly, seed(), &Options::default());
}

#[test]
fn an_abort_in_the_midst_leaves_a_written_source_as_it_was() {
    is_taken_back(Pipeline::FullLoadAndCapture, seed());
}

#[test]
fn an_abort_in_the_midst_lets_the_replica_go_on() {
    is_taken_back(Pipeline::PausedReplica, seed());
}

#[test]
#[ignore = "takes minutes: make live ROUNDS=10"]
fn rounds() {
    let rounds = number("PGKEDGE_ROUNDS").unwrap_or(10);
    let mut all = Map::new();
    for pipeline in Pipeline::ALL {
        let figures = repeated(rounds, |seed| moves_alive(pipeline, seed, &Options::default()));
        all.insert(pipeline.name().to_owned(), figures);
    }
    written("live", &Value::from(all));
}

#[test]
#[ignore = "needs servers of other versions: make pairs"]
fn pairs() {
    let servers = std::env::var("PGKEDGE_SERVERS").expect("make pairs names the folder of servers");
    let bin = |major: &str| Some(Path::new(&servers).join(major).join("bin"));
    let mut all = Map::new();
    for (source, target) in [("13", "17"), ("15", "18")] {
        let options = Options { bin: bin(source), target_bin: bin(target), ..Options::default() };
        let mut pair = Map::new();
        for pipeline in [Pipeline::FullLoadAndCapture, Pipeline::PausedReplica] {
            let figures = repeated(1, |seed| moves_alive(pipeline, seed, &options));
            pair.insert(pipeline.name().to_owned(), figures);
        }
        all.insert(format!("{source} to {target}"), Value::from(pair));
    }
    written("pairs", &Value::from(all));
}

/// One move: writers all the time, one kill at any moment, and everything looked at afterwards.
fn moves_alive(pipeline: Pipeline, seed: u64, options: &Options) -> Report {
    tell(&format!("{}: PGKEDGE_SEED={seed}", pipeline.name()));
    let live = Live::new(pipeline, options);
    let before = Traces::of(&live.moved);
    let (running, writers) = live.begin(seed);
    live.kill(running, &mut Random::new(seed));
    live.moved.of_run(&["resume"]).expect(0);
    // The source is closed, and the writers wait at the target: nobody writes.
    assert_equal(&live);
    let report = live.end_on_target(writers);
    let proof = live.proof(&report, Side::Target);
    assert!(proof.is_right(), "{proof:?}");
    assert_eq!(report.late, 0, "both servers took writes");
    // What a transaction of an application has to live with.
    let usual = ["25006", "40001", "40P01", "55P03"];
    let unusual = report.refusals.keys().find(|code| !usual.contains(&code.as_str()));
    assert_eq!(unusual, None, "{:?}", report.refusals);
    Traces::of(&live.moved).assert_moved(&before);
    assert_replica_follows(&live.moved);
    live.moved.assert_nothing_is_left();
    report
}

/// A run that is killed at any moment and taken back, while the application goes on.
fn is_taken_back(pipeline: Pipeline, seed: u64) {
    tell(&format!("{}: PGKEDGE_SEED={seed}", pipeline.name()));
    let live = Live::new(pipeline, &Options::default());
    let before = Traces::of(&live.moved);
    let (running, writers) = live.begin(seed);
    live.kill(running, &mut Random::new(seed));
    live.moved.of_run(&["abort"]).expect(0);
    let written = writers.committed_on(Server::Source);
    wait_for("writes on the source", || writers.committed_on(Server::Source) >= written + 100);
    let report = live.stop(writers);
    let proof = live.proof(&report, Side::Source);
    assert!(proof.is_right(), "{proof:?}");
    Traces::of(&live.moved).assert_untouched(&before);
    assert_replica_follows(&live.moved);
    live.moved.assert_nothing_is_left();
}

/// Does something that many times, and counts how often all was well.
fn repeated(rounds: u64, one: impl Fn(u64) -> Report) -> Value {
    let first = seed();
    let (mut reports, mut failed) = (Vec::new(), Vec::new());
    for seed in (0..rounds).map(|round| first.wrapping_add(round)) {
        // What is wrong with a round has been printed; the others still tell how often.
        match catch_unwind(AssertUnwindSafe(|| one(seed))) {
            Ok(report) => reports.push(report),
            Err(_) => failed.push(seed),
        }
    }
    let slowest = reports.iter().map(per_second).min().unwrap_or(0);
    let pauses = reports.iter().map(|report| report.longest_pause.as_millis());
    json!({
        "rounds": rounds,
        "equal": reports.len(),
        "failed_seeds": failed,
        "transactions": reports.iter().map(|report| report.committed.len()).sum::<usize>(),
        "in_doubt": reports.iter().map(|report| report.in_doubt.len()).sum::<usize>(),
        "fewest_a_second": slowest,
        "longest_pause_ms": u64::try_from(pauses.max().unwrap_or(0)).unwrap_or(u64::MAX),
    })
}

/// Transactions in a second, while the source took any. Each writes four rows and more.
fn per_second(report: &Report) -> u64 {
    let written = report.on.get(&Server::Source).copied().unwrap_or(0);
    written * 1_000 / u64::try_from(report.at_work.as_millis()).unwrap_or(u64::MAX).max(1)
}

/// Leaves figures where the Makefile finds them, and fails unless every round was well.
fn written(name: &str, figures: &Value) {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.json"));
    std::fs::write(&path, format!("{figures}\n")).expect("the figures are written");
    tell(&figures.to_string());
    let is_well = |figures: &Value| figures["equal"] == figures["rounds"];
    let each = figures.as_object().into_iter().flat_map(Map::values);
    let all: Vec<&Value> = each
        .flat_map(|value| match value.get("rounds") {
            Some(_) => vec![value],
            None => value.as_object().into_iter().flat_map(Map::values).collect(),
        })
        .collect();
    assert!(!all.is_empty() && all.into_iter().all(is_well), "{figures}");
}

/// Another one each time, unless it is named.
fn seed() -> u64 {
    number("PGKEDGE_SEED").unwrap_or_else(|| RandomState::new().hash_one(0) >> 32)
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}
