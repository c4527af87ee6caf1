//! Kills and resumes.

use std::time::Duration;

use crate::harness::{Move, Side, pgkedge, started, text, wait_for};

/// A table that is loaded in many parts, and some beside it.
const ROWS: &str = "
    create table public.big (id bigint primary key, filler text);
    insert into public.big select g, repeat(md5(g::text), 8) from generate_series(1, 120000) g;
    create table public.other (id int primary key, big bigint references public.big);
    insert into public.other select g, g from generate_series(1, 5000) g;
    analyze";

#[test]
fn a_run_killed_ten_times_ends_with_equal_content() {
    let moved = Move::new();
    moved.sql(Side::Source, ROWS);
    let plan = moved.plan_with("load: { part_size: 2MiB, workers: 2 }\n");
    let state = text(&moved.state).to_owned();
    let mut child = started(&["run", text(&plan), "--yes", "--state", &state]);
    wait_for("its journal", || moved.state.join("journal.sqlite").exists());
    for kill in 0..10 {
        std::thread::sleep(Duration::from_millis(300 + 70 * kill));
        // It may have finished before: then resume has nothing to do, which is fine as well.
        drop(child.kill());
        child.wait().expect("it was started");
        child = started(&["resume", "--state", &state]);
    }
    drop(child.kill());
    child.wait().expect("it was started");
    moved.of_run(&["resume"]).expect(0);
    moved.assert_nothing_is_left();
    let digest = "select count(*), sum(hashtext(b::text)) from public.big b";
    assert_eq!(moved.sql(Side::Target, digest), moved.sql(Side::Source, digest));
}

#[test]
fn an_aborted_run_leaves_the_target_as_it_was() {
    let moved = Move::new();
    moved.sql(Side::Source, ROWS);
    let plan = moved.plan_with("");
    pgkedge(&["run", text(&plan), "--yes", "--state", text(&moved.state), "--until", "load"])
        .expect(0);
    moved.of_run(&["abort", "--yes"]).expect(0);
    moved.assert_nothing_is_left();
    let objects = "select count(*) from pg_class where relnamespace = 'public'::regnamespace";
    assert_eq!(moved.sql(Side::Target, objects), "0");
}

#[test]
fn a_second_runner_is_refused_and_told_who_holds_the_run() {
    let moved = Move::new();
    moved.sql(Side::Source, ROWS);
    let plan = moved.plan_with(
        "phases:\n  - name: wait\n    after: schema\n    steps:\n      - { name: ask, kind: approval, message: Go on? }\n",
    );
    let state = text(&moved.state).to_owned();
    let mut child = started(&["run", text(&plan), "--yes", "--state", &state]);
    wait_for("its journal", || moved.state.join("journal.sqlite").exists());
    wait_for("the approval", || {
        moved.status()["report"]["running"].to_string().contains("wait/ask")
    });
    moved.of_run(&["resume"]).expect(6);
    moved.of_run(&["approve", "wait/ask", "--by", "tester"]).expect(0);
    assert!(child.wait().expect("it was started").success());
    moved.assert_nothing_is_left();
}
