//! Steps of the user's own: that fail, that are killed in the middle, that wait for a person.

use std::path::PathBuf;

use crate::harness::{Move, Side, pgkedge, text, wait_for};

fn source() -> Move {
    let moved = Move::new();
    moved.sql(Side::Source, "create table public.t (a int); insert into public.t values (1), (2)");
    moved
}

fn run(moved: &Move, plan: &std::path::Path) -> crate::harness::Ended {
    pgkedge(&["run", text(plan), "--yes", "--state", text(&moved.state)])
}

fn resume(moved: &Move, plan: &std::path::Path) -> crate::harness::Ended {
    pgkedge(&["resume", text(plan), "--state", text(&moved.state)])
}

/// A plan with one step of its own behind `schema`.
fn plan(moved: &Move, step: &str) -> PathBuf {
    moved.plan_with(&format!("phases:\n  - {{ name: own, after: schema, steps: [{step}] }}\n"))
}

#[test]
fn an_error_in_own_sql_names_step_statement_and_cause_and_is_mended_by_an_edit() {
    let moved = source();
    let broken =
        "{ name: mark, kind: sql, run: \"create schema mine; insert into mine.none values (7)\" }";
    let ended = run(&moved, &plan(&moved, broken)).expect(1);
    for words in ["own/mark", "insert into mine.none values (7)", "42P01", "pgkedge resume"] {
        assert!(ended.stderr.contains(words), "{words}: {}", ended.stderr);
    }
    // One transaction: the first statement did not stay.
    assert_eq!(moved.sql(Side::Target, "select to_regnamespace('mine')"), "");
    let again = moved.of_run(&["resume"]).expect(1);
    assert!(again.stderr.contains("42P01"), "{}", again.stderr);
    let shown = moved.of_run(&["status"]).expect(0).stdout;
    assert!(shown.contains("failed: own/mark") && shown.contains("42P01"), "{shown}");

    let mended = "{ name: mark, kind: sql, run: select 7 }";
    resume(&moved, &plan(&moved, mended)).expect(0);
    moved.assert_nothing_is_left();
}

/// A program that leaves a mark, sleeps, and leaves another one.
fn sleeper(moved: &Move, seconds: u32) -> (PathBuf, PathBuf, PathBuf) {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = &moved.sandbox.folder;
    let (program, begun, ended) =
        (folder.join("sleeper.sh"), folder.join("begun"), folder.join("ended"));
    let script = format!(
        "#!/bin/sh\necho begun >> {}\nsleep {seconds}\necho ended >> {}\n",
        begun.display(),
        ended.display()
    );
    std::fs::write(&program, script).expect("the program is written");
    let executable = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(&program, executable).expect("it may be executed");
    (program, begun, ended)
}

fn lines(path: &std::path::Path) -> usize {
    std::fs::read_to_string(path).map_or(0, |text| text.lines().count())
}

#[test]
fn a_command_that_was_killed_is_not_run_again_unless_the_plan_says_so() {
    let moved = source();
    let (program, begun, _) = sleeper(&moved, 300);
    let step = |more: &str| {
        let program = text(&program);
        plan(&moved, &format!("{{ name: go, kind: command, run: [\"{program}\"]{more} }}"))
    };
    let arguments =
        ["run", text(&step("")), "--yes", "--state", text(&moved.state)].map(str::to_owned);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let runner = moved.background(&arguments);
    wait_for("the command", || lines(&begun) == 1);
    runner.killed();

    // Nobody knows whether it came to its end.
    let ended = moved.of_run(&["resume"]).expect(4);
    for words in ["own/go", "idempotent: true", "pgkedge resume"] {
        assert!(ended.stderr.contains(words), "{words}: {}", ended.stderr);
    }
    assert_eq!(lines(&begun), 1);
    // Once more, and it still does not guess.
    moved.of_run(&["resume"]).expect(4);
    assert_eq!(lines(&begun), 1);

    let (_, begun, finished) = sleeper(&moved, 0);
    resume(&moved, &step(", idempotent: true")).expect(0);
    assert_eq!((lines(&begun), lines(&finished)), (2, 1));
    moved.assert_nothing_is_left();
}

#[test]
fn an_idempotent_command_is_run_again_and_a_probe_is_asked() {
    let moved = source();
    let (program, begun, finished) = sleeper(&moved, 300);
    let state = text(&moved.state).to_owned();
    let killed = |more: &str| {
        let program = text(&program);
        let step = format!("{{ name: go, kind: command, run: [\"{program}\"], {more} }}");
        let plan = plan(&moved, &step);
        for mark in [&begun, &finished] {
            drop(std::fs::remove_file(mark));
        }
        sleeper(&moved, 300);
        let runner = moved.background(&["run", text(&plan), "--yes", "--state", &state]);
        wait_for("the command", || lines(&begun) == 1);
        runner.killed();
        sleeper(&moved, 0);
    };

    killed("idempotent: true");
    moved.of_run(&["resume"]).expect(0);
    assert_eq!((lines(&begun), lines(&finished)), (2, 1));
    moved.again();

    let probe = format!("probe: [test, -e, \"{}\"]", text(&finished));
    killed(&probe);
    std::fs::write(&finished, "it was done\n").expect("the mark is written");
    moved.of_run(&["resume"]).expect(0);
    assert_eq!(lines(&begun), 1, "the probe says that it is done");
    moved.again();

    killed(&probe);
    moved.of_run(&["resume"]).expect(0);
    assert_eq!((lines(&begun), lines(&finished)), (2, 1), "the probe says that it is not done");
}

#[test]
fn own_sql_outside_of_a_transaction_is_not_sent_again_unless_the_plan_says_so() {
    let moved = source();
    moved.sql(Side::Source, "create table public.marks (at timestamptz)");
    let slow = "select pg_sleep(300); insert into public.marks values (now())";
    let quick = "insert into public.marks values (now())";
    let marks = || moved.sql(Side::Source, "select count(*) from public.marks");
    let state = text(&moved.state).to_owned();
    let killed = |more: &str| {
        let step = format!("{{ name: mark, kind: sql, on: source, run: \"{slow}\"{more} }}");
        // Before anything is copied, so that the verification sees its rows on both sides.
        let plan = plan(&moved, &step);
        let runner = moved.background(&["run", text(&plan), "--yes", "--state", &state]);
        let asleep = "select count(*) from pg_stat_activity where query ~ '^select pg_sleep' \
                      and application_name ~ ':do$'";
        wait_for("the statement", || moved.sql(Side::Source, asleep) == "1");
        runner.killed();
    };

    killed("");
    let ended = moved.of_run(&["resume"]).expect(4);
    for words in ["own/mark", "probe:", "idempotent: true", "pgkedge resume"] {
        assert!(ended.stderr.contains(words), "{words}: {}", ended.stderr);
    }
    let step = format!(
        "{{ name: mark, kind: sql, on: source, run: \"{quick}\", \
         probe: \"select exists (select from public.marks)\" }}"
    );
    resume(&moved, &plan(&moved, &step)).expect(0);
    assert_eq!(marks(), "1");
    moved.again();

    killed(", probe: \"select exists (select from public.marks)\"");
    moved.of_run(&["resume"]).expect(0);
    assert_eq!(marks(), "1", "the probe says that it is done");
}

#[test]
fn an_approval_counts_whenever_it_is_given_and_waiting_for_it_can_be_interrupted() {
    let moved = source();
    let plan = plan(&moved, "{ name: ask, kind: approval, message: Go on? }");
    let state = text(&moved.state).to_owned();
    pgkedge(&["run", text(&plan), "--yes", "--state", &state, "--until", "prepare"]).expect(0);
    let ended = moved.of_run(&["approve", "own/ask"]).expect(0);
    assert!(ended.stderr.contains("no runner is at work"), "{}", ended.stderr);
    moved.of_run(&["resume"]).expect(0);
    moved.assert_nothing_is_left();
    moved.again();

    let runner = moved.background(&["run", text(&plan), "--yes", "--state", &state]);
    wait_for("the question", || {
        moved.state.join("journal.sqlite").exists()
            && moved.status()["report"]["running"].to_string().contains("own/ask")
    });
    moved.of_run(&["approve", "own/no"]).expect(2);
    runner.signal("INT");
    runner.ended().expect(130);
    let runner = moved.background_of_run(&["resume"]);
    moved.of_run(&["approve", "own/ask", "--by", "tester"]).expect(0);
    runner.ended().expect(0);
    moved.assert_nothing_is_left();
    let log = moved.of_run(&["log", "--output", "json"]).expect(0).stdout;
    assert!(log.contains("tester"), "{log}");
}
