//! Signals, and servers and sessions that go away, in the middle of a load.

use pgkedge_sandbox::StopMode;

use crate::background::Background;
use crate::harness::{Move, Side, text, wait_for};

const ROWS: &str = "
    create table public.big (id bigint primary key, filler text);
    insert into public.big select g, repeat(md5(g::text), 8) from generate_series(1, 20000) g;
    create table public.slow (id int primary key, big bigint references public.big);
    insert into public.slow select g, g from generate_series(1, 500) g;
    analyze";
const LOAD: &str = "load: { part_size: 2MiB, bundle_below: 64KiB, workers: 3 }\n";
/// Sessions of effects that wait for a lock on the source.
const BLOCKED: &str = "from pg_stat_activity where application_name like 'pgkedge:%:do' \
                       and wait_event_type = 'Lock'";
const RELEASE: &str =
    "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'locker'";

/// A run whose load waits at the table `slow`, because somebody has locked it.
struct Held<'a> {
    moved: &'a Move,
    runner: Background,
}

impl<'a> Held<'a> {
    fn new(moved: &'a Move) -> Self {
        let plan = moved.plan_with(LOAD);
        let state = text(&moved.state);
        let arguments = ["run", text(&plan), "--yes", "--state", state, "--until", "schema"];
        crate::harness::pgkedge(&arguments).expect(0);
        lock(moved);
        let runner = moved.background_of_run(&["resume"]);
        wait_for("the load to wait", || blocked(moved) > 0);
        Self { moved, runner }
    }

    /// The run may go on.
    fn release(&self) {
        self.moved.sql(Side::Source, RELEASE);
    }

    /// Waits until a step was tried again.
    fn wait_for_attempt(&self, step: &str, attempt: u64) {
        wait_for("another attempt", || {
            let status = self.moved.status();
            let running = status["report"]["running"].as_array().cloned().unwrap_or_default();
            running.iter().any(|one| {
                one["step"].as_str().is_some_and(|name| name.starts_with(step))
                    && one["attempt"].as_u64() >= Some(attempt)
            })
        });
    }
}

fn lock(moved: &Move) {
    let mut locker = moved.psql_command(Side::Source);
    locker
        .env("PGAPPNAME", "locker")
        .args(["-c", "lock table public.slow in access exclusive mode; select pg_sleep(300)"]);
    let silent = || std::process::Stdio::null();
    let mut locker = locker.stdout(silent()).stderr(silent()).spawn().expect("psql starts");
    // It ends when its session is ended.
    std::thread::spawn(move || locker.wait());
    let locked = "select count(*) from pg_locks where mode = 'AccessExclusiveLock' and granted \
                  and relation = 'public.slow'::regclass";
    wait_for("the lock", || moved.sql(Side::Source, locked) == "1");
}

fn blocked(moved: &Move) -> u32 {
    moved.sql(Side::Source, &format!("select count(*) {BLOCKED}")).parse().expect("a count")
}

fn assert_moved(moved: &Move) {
    moved.assert_nothing_is_left();
    for table in ["big", "slow"] {
        let digest = format!("select count(*), sum(hashtext(t::text)) from public.{table} t");
        assert_eq!(moved.sql(Side::Target, &digest), moved.sql(Side::Source, &digest));
    }
}

fn source() -> Move {
    let moved = Move::new();
    moved.sql(Side::Source, ROWS);
    moved
}

#[test]
fn signals_stop_a_run_in_stages_and_it_goes_on_later() {
    let moved = source();

    // Once: what runs is finished, and nothing new starts.
    let held = Held::new(&moved);
    held.runner.signal("INT");
    wait_for("the announcement", || held.runner.said().contains("nothing new starts"));
    held.release();
    held.runner.ended().expect(130);
    assert_eq!(moved.status()["report"]["closed"], "interrupted");
    assert_eq!(moved.sql(Side::Target, "select count(*) from public.slow"), "500");
    moved.of_run(&["resume"]).expect(0);
    assert_moved(&moved);
    moved.again();

    // Twice: what runs is cancelled.
    let held = Held::new(&moved);
    held.runner.signal("INT");
    wait_for("the announcement", || held.runner.said().contains("nothing new starts"));
    held.runner.signal("INT");
    held.runner.ended().expect(130);
    assert_eq!(moved.sql(Side::Target, "select count(*) from public.slow"), "0");
    moved.sql(Side::Source, RELEASE);
    moved.of_run(&["resume"]).expect(0);
    assert_moved(&moved);
    moved.again();

    let held = Held::new(&moved);
    held.runner.signal("TERM");
    wait_for("the announcement", || held.runner.said().contains("nothing new starts"));
    held.release();
    held.runner.ended().expect(143);
    moved.of_run(&["resume"]).expect(0);
    assert_moved(&moved);
}

#[test]
fn sessions_that_are_ended_are_opened_again() {
    let moved = source();
    let held = Held::new(&moved);
    let copy = moved.sql(Side::Source, &format!("select pg_terminate_backend(pid) {BLOCKED}"));
    assert_eq!(copy, "t");
    held.wait_for_attempt("load/copy", 2);
    held.release();
    held.runner.ended().expect(0);
    assert_moved(&moved);
    moved.again();

    let held = Held::new(&moved);
    let holder = "select pg_terminate_backend(pid) from pg_stat_activity \
                  where query = 'select pg_catalog.pg_export_snapshot()' \
                  and state = 'idle in transaction'";
    assert_eq!(moved.sql(Side::Source, holder), "t");
    held.wait_for_attempt("load/snapshot", 2);
    held.release();
    held.runner.ended().expect(0);
    assert_moved(&moved);
}

#[test]
fn a_target_that_crashes_in_the_middle_of_a_load_costs_a_resume_at_most() {
    let moved = source();
    let held = Held::new(&moved);
    let target = &moved.sandbox.target;
    target.stop(StopMode::Immediate).expect("the target stops");
    target.start().expect("the target starts");
    held.release();
    let ended = held.runner.ended();
    if ended.code != Some(0) {
        let ended = ended.expect(1);
        assert!(ended.stderr.contains("pgkedge resume"), "{}", ended.stderr);
        moved.of_run(&["resume"]).expect(0);
    }
    assert_moved(&moved);
}

#[test]
fn a_run_that_was_killed_can_be_cleaned_up_or_taken_back() {
    let moved = source();
    let inspected = || {
        let plan = moved.plan();
        let arguments = ["inspect", text(&plan), "--database", "target"];
        without_oids(&crate::harness::pgkedge(&arguments).expect(0).stdout)
    };
    let before = inspected();
    let killed = || {
        let held = Held::new(&moved);
        held.runner.killed();
        moved.sql(Side::Source, RELEASE);
    };

    killed();
    moved.of_run(&["abort", "--yes"]).expect(0);
    moved.assert_nothing_is_left();
    let after = inspected();
    let new: Vec<&str> = after.lines().filter(|line| !before.contains(line)).collect();
    let gone: Vec<&str> = before.lines().filter(|line| !after.contains(line)).collect();
    assert!(after == before, "new: {new:#?}\ngone: {gone:#?}");
    let ended = moved.of_run(&["resume"]);
    assert!(ended.stderr.contains("over"), "{}", ended.stderr);
    moved.again();

    killed();
    let rows = || moved.sql(Side::Target, "select count(*) from public.big");
    let loaded = rows();
    moved.of_run(&["cleanup"]).expect(0);
    moved.assert_nothing_is_left();
    assert_eq!(rows(), loaded, "what was moved stays");
    moved.again();

    killed();
    std::fs::remove_dir_all(&moved.state).expect("the state is removed");
    let plan = moved.plan();
    let found = crate::harness::pgkedge(&["cleanup", "--scan", text(&plan), "--dry-run"]).expect(7);
    assert!(found.stdout.contains("schema pgkedge_"), "{}", found.stdout);
    crate::harness::pgkedge(&["cleanup", "--scan", text(&plan)]).expect(0);
    moved.assert_nothing_is_left();
    let found = crate::harness::pgkedge(&["cleanup", "--scan", text(&plan)]).expect(0);
    assert!(found.stderr.contains("no leftovers"), "{}", found.stderr);
}

/// What a catalog says, without what a server settles by itself.
fn without_oids(catalog: &str) -> String {
    let given = ["oid", "filenode", "number", "bytes"];
    let mut catalog: serde_json::Value = serde_json::from_str(catalog).expect("JSON");
    forget(&mut catalog, &given);
    serde_json::to_string_pretty(&catalog).expect("JSON")
}

fn forget(value: &mut serde_json::Value, names: &[&str]) {
    if let Some(fields) = value.as_object_mut() {
        fields.retain(|name, _| !names.contains(&name.as_str()));
        for value in fields.values_mut() {
            forget(value, names);
        }
    } else if let Some(items) = value.as_array_mut() {
        for item in items {
            forget(item, names);
        }
    }
}

#[test]
fn a_run_is_watched_while_it_works_and_refuses_others() {
    let moved = source();
    let held = Held::new(&moved);
    let status = moved.status();
    assert_eq!(status["runner"], true);
    let shown = moved.of_run(&["status"]).expect(0).stdout;
    assert!(shown.contains("running") && shown.contains("at work: load/copy"), "{shown}");
    let log = moved.of_run(&["log"]).expect(0).stdout;
    assert!(log.contains("schema"), "{log}");
    let lines = moved.of_run(&["log", "--output", "json"]).expect(0).stdout;
    let records = lines.lines().map(serde_json::from_str::<serde_json::Value>);
    assert!(records.map(|one| one.expect("JSON")).any(|one| one["record"] == "step_started"));

    // A copy of its folder is another lock, but the servers know better.
    let copied = moved.sandbox.folder.join("copied");
    let copy = std::process::Command::new("cp").arg("-a").arg(&moved.state).arg(&copied).status();
    assert!(copy.expect("cp starts").success());
    let ended = crate::harness::pgkedge(&["resume", "--state", text(&copied)]).expect(6);
    let told = &ended.stderr;
    assert!(told.contains("pgkedge:") && told.contains("session"), "{told}");
    let ended = moved.of_run(&["resume"]).expect(6);
    assert!(ended.stderr.contains(&held.runner.pid().to_string()), "{}", ended.stderr);
    for command in [&["abort", "--yes"][..], &["cleanup"]] {
        moved.of_run(command).expect(6);
    }
    let plan = moved.plan();
    let ended = crate::harness::pgkedge(&["cleanup", "--scan", text(&plan)]).expect(7);
    let told = format!("{}{}", ended.stdout, ended.stderr);
    assert!(told.contains("still has sessions") && told.contains("--end-sessions"), "{told}");
    let ended =
        crate::harness::pgkedge(&["run", text(&plan), "--yes", "--state", text(&moved.state)]);
    assert!(ended.expect(6).stderr.contains("going on"));

    held.release();
    held.runner.ended().expect(0);
    assert_moved(&moved);
    assert_eq!(moved.status()["report"]["closed"], "succeeded");
    // The copy knows nothing of that; the target does.
    let ended = crate::harness::pgkedge(&["resume", "--state", text(&copied)]).expect(6);
    assert!(ended.stderr.contains("ledger"), "{}", ended.stderr);
    let ended = crate::harness::pgkedge(&["abort", "--yes", "--state", text(&copied)]).expect(6);
    assert!(ended.stderr.contains("an old copy"), "{}", ended.stderr);
    assert_moved(&moved);
    let shown = moved.of_run(&["status"]).expect(0).stdout;
    assert!(shown.contains("succeeded"), "{shown}");
    assert!(moved.of_run(&["log"]).expect(0).stdout.contains("verify"));
    let ended = moved.of_run(&["abort", "--yes"]).expect(2);
    assert!(ended.stderr.contains("succeeded"), "{}", ended.stderr);
}
