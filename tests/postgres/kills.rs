//! Kills at any moment. `make monkey KILLS=20 SEED=7` does more of it, or the same once more.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

use pgkedge_model::{Record, RunHeader, StampedRecord, StepId};
use pgkedge_runtime::JournalReader;

use crate::harness::{Move, Side, pgkedge, started, text, wait_for};

/// A table that is loaded in many parts, and hundreds that are moved in bundles.
const ROWS: &str = "
    create table public.big (id bigint primary key, filler text);
    insert into public.big select g, repeat(md5(g::text), 8) from generate_series(1, 60000) g;
    create index on public.big (filler);
    do $$ begin
        for n in 1..300 loop
            execute format('create table public.small_%s (id int primary key, note text)', n);
            execute format('insert into public.small_%s select g, md5(g::text)
                            from generate_series(1, 40) g', n);
        end loop;
    end $$;
    analyze";
const WORKERS: usize = 2;
/// A runner is left alone for up to that many milliseconds more when its moment has come.
const LONGEST_DELAY: u64 = 150;

#[test]
fn ten_kills_at_random_moments_repeat_at_most_one_part_or_bundle_per_worker_each() {
    let kills = number("PGKEDGE_KILLS").unwrap_or(10);
    let seed = number("PGKEDGE_SEED").unwrap_or_else(|| RandomState::new().hash_one(0) >> 32);
    println!("PGKEDGE_SEED={seed} PGKEDGE_KILLS={kills}");
    let moved = Move::new();
    moved.sql(Side::Source, ROWS);
    let plan = moved.plan_with(&format!("load: {{ part_size: 1MiB, workers: {WORKERS} }}\n"));
    let state = text(&moved.state).to_owned();
    let mut random = Random(seed);
    for (kill, moment) in (0..).zip(random.moments(kills)) {
        let mut child = match kill {
            0 => started(&["run", text(&plan), "--yes", "--state", &state]),
            _ => started(&["resume", "--state", &state]),
        };
        let mut is_over = || !matches!(child.try_wait(), Ok(None));
        wait_for("its moment", || has_come_to(&moved, kill + 1, moment) || is_over());
        std::thread::sleep(Duration::from_millis(random.next() % LONGEST_DELAY));
        // It may have come to its end before: then `resume` has nothing to do, which is fine.
        drop(child.kill());
        child.wait().expect("it was started");
    }
    moved.of_run(&["resume"]).expect(0);
    moved.assert_nothing_is_left();
    pgkedge(&["verify", text(&plan)]).expect(0);
    for (kill, steps) in done_again(&moved) {
        println!("kill {kill}: done again: {steps:?}");
        assert!(steps.len() <= WORKERS, "kill {kill}: {steps:?}");
    }
}

#[test]
fn a_journal_that_lost_its_end_is_resumed_and_nothing_is_done_twice() {
    let moved = Move::new();
    moved.sql(Side::Source, ROWS);
    let plan = moved.plan_with("load: { part_size: 1MiB, workers: 2 }\n");
    let state = text(&moved.state).to_owned();
    pgkedge(&["run", text(&plan), "--yes", "--state", &state, "--until", "load"]).expect(0);
    let journal = rusqlite::Connection::open(moved.state.join("journal.sqlite")).expect("opens");
    journal.execute("delete from record where seq > 3", ()).expect("its end is cut off");
    journal.close().expect("closes");
    moved.of_run(&["resume"]).expect(0);
    moved.assert_nothing_is_left();
    pgkedge(&["verify", text(&plan)]).expect(0);
}

/// Whether this runner has taken the run, and so many thousandths of its steps are done.
fn has_come_to(moved: &Move, runner: u64, thousandths: u64) -> bool {
    let Ok(reader) = JournalReader::open(&moved.state) else { return false };
    let (Ok(header), Ok(checkpoint)) = (reader.header(), reader.checkpoint()) else { return false };
    let steps = header.graph.steps().count() as u64;
    let done = checkpoint.steps.values().filter(|state| state.is_succeeded()).count() as u64;
    let is_at_work = checkpoint.epoch.is_some_and(|epoch| epoch.0 >= runner);
    is_at_work && done * 1_000 >= steps * thousandths
}

/// What the journal says was done once more, by the kill that cut it off.
fn done_again(moved: &Move) -> BTreeMap<u64, BTreeSet<StepId>> {
    let header = JournalReader::open(&moved.state).and_then(|reader| reader.header());
    let header = header.expect("a journal");
    let parts =
        header.graph.steps().filter(|node| node.kind == "copy_part" && node.members.len() == 1);
    assert!(parts.count() >= 12, "the large table has too few parts");
    let log = moved.of_run(&["log", "--output", "json"]).expect(0).stdout;
    let records = log.lines().map(|line| serde_json::from_str(line).expect("a record"));
    repeated(&header, records)
}

/// By the kill that they were cut off by: steps of workers that were done once more.
fn repeated(
    header: &RunHeader,
    records: impl Iterator<Item = StampedRecord>,
) -> BTreeMap<u64, BTreeSet<StepId>> {
    // Of this runner; then with the kill that cut them off.
    let mut started: BTreeSet<StepId> = BTreeSet::new();
    let mut open: BTreeMap<StepId, Vec<u64>> = BTreeMap::new();
    let mut repeated: BTreeMap<u64, BTreeSet<StepId>> = BTreeMap::new();
    for StampedRecord { record, .. } in records {
        match record {
            Record::RunOpened { epoch, .. } => {
                let kill = epoch.0 - 1;
                for step in std::mem::take(&mut started) {
                    open.entry(step).or_default().push(kill);
                }
            }
            Record::StepStarted { step, .. } => {
                let node = header.graph.step(&step).expect("a step of the graph");
                if node.resources.worker && !node.service {
                    started.insert(step);
                }
            }
            Record::StepSucceeded { step, adopted, .. } => {
                started.remove(&step);
                for kill in open.remove(&step).into_iter().flatten().filter(|_| !adopted) {
                    repeated.entry(kill).or_default().insert(step.clone());
                }
            }
            Record::StepFailed { .. }
            | Record::Noted { .. }
            | Record::StepUndone { .. }
            | Record::ServiceReady { .. }
            | Record::ServiceStopped { .. }
            | Record::GroupVoided { .. }
            | Record::PlanEdited { .. }
            | Record::LimitsChanged { .. }
            | Record::RunClosed { .. } => {}
        }
    }
    repeated
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// Numbers that a seed makes (`SplitMix64`).
struct Random(u64);

impl Random {
    /// Thousandths of a run, in order.
    fn moments(&mut self, count: u64) -> Vec<u64> {
        let mut moments: Vec<u64> = (0..count).map(|_| self.next() % 1_000).collect();
        moments.sort_unstable();
        moments
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}
