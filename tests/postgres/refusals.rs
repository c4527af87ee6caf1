//! What is refused before anything is changed.

use pgkedge_sandbox::StopMode;

use crate::harness::{Move, Side, pgkedge, text};

#[test]
fn a_target_that_is_not_empty_is_left_alone() {
    let moved = Move::new();
    moved.sql(Side::Source, "create table public.t (a int)");
    moved.sql(Side::Target, "create table public.already_here (a int)");
    let ended = moved.run().expect(4);
    assert!(ended.stderr.contains("already_here"), "{}", ended.stderr);
    moved.assert_nothing_is_left();
    assert_eq!(moved.sql(Side::Target, "select to_regclass('public.t')"), "");
}

#[test]
fn a_run_that_was_blocked_can_be_started_again_after_mending() {
    let moved = Move::new();
    moved.sql(Side::Source, "create table public.t (a int); insert into public.t values (7)");
    moved.sql(Side::Target, "create table public.already_here (a int)");
    moved.run().expect(4);
    moved.sql(Side::Target, "drop table public.already_here");
    moved.run().expect(0);
    assert_eq!(moved.sql(Side::Target, "select a from public.t"), "7");
}

#[test]
fn an_invalid_plan_ends_with_3_and_touches_nothing() {
    let moved = Move::new();
    let plan = moved.plan_with("tabels: {}\n");
    let ended = moved.run_plan(&plan).expect(3);
    assert!(ended.stderr.contains("tabels"), "{}", ended.stderr);
    assert!(!moved.state.exists());
}

#[test]
fn preflight_says_what_stands_in_the_way() {
    let moved = Move::new();
    moved.sql(Side::Target, "create table public.already_here (a int)");
    let ended = pgkedge(&["preflight", text(&moved.plan()), "--output", "json"]).expect(4);
    assert!(ended.stdout.contains("already_here"), "{}", ended.stdout);
}

#[test]
fn the_ledger_of_another_run_on_the_target_stops_a_new_one() {
    let moved = Move::new();
    moved.sql(Side::Source, "create table public.t (a int)");
    let plan = moved.plan();
    let arguments = ["run", text(&plan), "--yes", "--state", text(&moved.state)];
    pgkedge(&[&arguments[..], &["--until", "prepare"]].concat()).expect(0);
    let ended = pgkedge(&arguments).expect(2);
    assert!(ended.stderr.contains("unfinished run"), "{}", ended.stderr);
    let elsewhere = moved.sandbox.folder.join("elsewhere");
    let ended = pgkedge(&["run", text(&plan), "--yes", "--state", text(&elsewhere)]).expect(4);
    for words in ["has left its ledger", "pgkedge cleanup --scan"] {
        assert!(ended.stderr.contains(words), "{words}: {}", ended.stderr);
    }
    moved.of_run(&["resume"]).expect(0);
    moved.assert_nothing_is_left();
}

#[test]
fn a_target_that_is_a_standby_is_refused() {
    let moved = Move::new();
    moved.sql(Side::Source, "create table public.t (a int)");
    let target = &moved.sandbox.target;
    target.stop(StopMode::Fast).expect("the target stops");
    std::fs::write(target.data.join("standby.signal"), "").expect("the signal is written");
    target.start().expect("the target starts");
    let ended = moved.run().expect(4);
    assert!(ended.stderr.contains("target::in_recovery"), "{}", ended.stderr);
}

#[test]
fn a_schema_that_would_be_taken_for_our_own_is_not_left_out_in_silence() {
    let moved = Move::new();
    moved.sql(Side::Source, "create schema pgkedge_0badcafe create table t (a int)");
    let ended = moved.run().expect(4);
    assert!(ended.stderr.contains("pgkedge_0badcafe"), "{}", ended.stderr);
}
