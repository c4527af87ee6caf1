//! A runner that is stopped, not dead, and the one that takes its run.

use std::process::{Child, Command};

use crate::harness::{Move, Side, pgkedge, started, text, wait_for};

/// An index that takes some seconds to build.
const ROWS: &str = "
    create table public.slow (id bigint primary key);
    insert into public.slow select generate_series(1, 40);
    create function public.slowly(n bigint) returns bigint immutable language plpgsql as
        $$ begin perform pg_catalog.pg_sleep(0.1); return n; end $$;
    create index slowly on public.slow (public.slowly(id))";

/// Starts a run and returns when its index is being built.
fn building() -> (Move, Child) {
    let moved = Move::new();
    moved.sql(Side::Source, ROWS);
    let plan = moved.plan();
    let child = started(&["run", text(&plan), "--yes", "--state", text(&moved.state)]);
    wait_for("the index", || builders(&moved) == 1);
    (moved, child)
}

fn builders(moved: &Move) -> usize {
    let builders = "select pid from pg_stat_activity where query like 'CREATE INDEX slowly%' \
                    and state = 'active' and pid <> pg_backend_pid()";
    moved.sql(Side::Target, builders).lines().count()
}

fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill").args([name, &child.id().to_string()]).status();
    assert!(sent.expect("kill starts").success(), "{name}");
}

#[test]
fn the_next_runner_ends_what_the_killed_one_still_does_on_the_server() {
    let (moved, mut child) = building();
    child.kill().expect("it runs");
    child.wait().expect("it was started");
    moved.of_run(&["resume"]).expect(0);
    moved.assert_nothing_is_left();
    pgkedge(&["verify", text(&moved.plan())]).expect(0);
}

#[test]
fn a_stopped_runner_is_taken_over_and_ends_with_6_when_it_goes_on() {
    let (moved, mut child) = building();
    signal(&child, "-STOP");
    let refused = moved.of_run(&["resume"]).expect(6);
    assert!(refused.stderr.contains("--take-over"), "{}", refused.stderr);
    moved.of_run(&["resume", "--take-over", "--until", "load"]).expect(0);
    signal(&child, "-CONT");
    assert_eq!(child.wait().expect("it was started").code(), Some(6));
    moved.of_run(&["resume"]).expect(0);
    moved.assert_nothing_is_left();
    pgkedge(&["verify", text(&moved.plan())]).expect(0);
}
