//! The cutover, killed at each of its steps, out of time, and in the way of something: never are both
//! servers open, and the source is in service again.

use std::process::Command;

use pgkedge_model::Server;
use pgkedge_sandbox::{APPLICATION_ROLE, Options, Writers};

use super::equality::assert_equal;
use super::fixture::{Live, Pipeline};
use super::traces::Traces;
use crate::harness::{Ended, Side, text, wait_for};

/// Every kind of the window, in its order, and where the engine dies at it.
const DEATHS: [&str; 19] = [
    "before_effect::fence_source",
    "after_effect::fence_source",
    "after_undo::fence_source",
    "after_effect::prove_quiet",
    "before_undo::fence_source",
    "after_effect::write_marker",
    "after_effect::await_drained",
    "after_effect::stop_apply",
    "before_undo::stop_apply",
    "after_effect::set_sequence",
    "after_effect::copy_large_objects",
    "after_effect::copy_part",
    "before_undo::copy_part",
    "after_effect::copy_schema",
    "after_effect::refresh_materialized_view",
    "after_effect::verify",
    "after_effect::compare_catalogs",
    "after_effect::prove_drained",
    "before_effect::open_target",
];
/// SIGABRT, which a failpoint ends the process with.
const DIED: Option<i32> = None;

#[test]
fn a_cutover_that_is_killed_at_any_step_never_opens_both_servers_and_goes_on() {
    let live = Live::new(Pipeline::FullLoadAndCapture, &Options::default());
    let before = Traces::of(&live.moved);
    let writers = live.write(7);
    until(&live, "verify").expect(0);
    for death in DEATHS {
        assert_eq!(resumed(&live, death).code, DIED, "{death} is never reached");
        assert_not_both_open(&live, death);
    }
    // The effect of the last step holds: there is no way back.
    assert_eq!(resumed(&live, "after_effect::open_target").code, DIED);
    assert_not_both_open(&live, "after_effect::open_target");
    live.moved.of_run(&["abort", "--yes"]).expect(2);
    live.moved.of_run(&["resume"]).expect(0);
    assert_equal(&live);
    ended_well(&live, writers);
    Traces::of(&live.moved).assert_moved(&before);
    live.moved.assert_nothing_is_left();
}

#[test]
fn a_cutover_that_is_out_of_time_is_taken_back_and_can_be_tried_again() {
    let live = Live::new(Pipeline::FullLoadAndCapture, &Options::default());
    let before = Traces::of(&live.moved);
    let writers = live.write(8);
    let plan = live.plan_with("prepared_transactions: rollback, deadline: 1ms");
    let ended = run(&live, &plan, &[]).expect(1);
    assert!(ended.stderr.contains("cutover.deadline"), "{}", ended.stderr);
    assert!(ended.stderr.contains("in service"), "{}", ended.stderr);
    assert_in_service(&writers);

    let plan = live.plan_with("prepared_transactions: rollback, deadline: 5min");
    live.moved.of_run(&["resume", text(&plan)]).expect(0);
    assert_equal(&live);
    ended_well(&live, writers);
    Traces::of(&live.moved).assert_moved(&before);
    live.moved.assert_nothing_is_left();
}

#[test]
fn a_kill_in_the_cutover_and_an_abort_leave_the_source_in_service_and_nothing_else() {
    let live = Live::new(Pipeline::FullLoadAndCapture, &Options::default());
    let before = Traces::of(&live.moved);
    let writers = live.write(9);
    until(&live, "verify").expect(0);
    assert_eq!(resumed(&live, "after_effect::stop_apply").code, DIED);
    live.moved.of_run(&["abort", "--yes"]).expect(0);
    assert_in_service(&writers);
    let report = live.stop(writers);
    let proof = live.proof(&report, Side::Source);
    assert!(proof.is_right(), "{proof:?}");
    Traces::of(&live.moved).assert_untouched(&before);
    live.moved.assert_nothing_is_left();
}

fn until(live: &Live, phase: &str) -> Ended {
    run(live, &live.plan(), &["--until", phase])
}

fn run(live: &Live, plan: &std::path::Path, more: &[&str]) -> Ended {
    let run = ["run", text(plan), "--yes", "--state", text(&live.moved.state)];
    crate::harness::pgkedge(&[&run, more].concat())
}

/// Resumes the run with a place at which it dies.
fn resumed(live: &Live, failpoint: &str) -> Ended {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pgkedge"));
    command.args(["resume", "--state", text(&live.moved.state)]);
    command.env("PGKEDGE_FAILPOINT", failpoint).env("NO_COLOR", "1");
    command.output().expect("pgkedge starts").into()
}

/// Whether new sessions of the application may write to a server.
fn is_open(live: &Live, side: Side) -> bool {
    let database = &live.moved.cluster(side).database;
    let sql = format!(
        "select has_database_privilege('{APPLICATION_ROLE}', '{database}', 'connect') and not exists (
           select from pg_db_role_setting s join pg_database d on d.oid = s.setdatabase
            where d.datname = '{database}' and s.setrole = 0
              and s.setconfig @> array['default_transaction_read_only=on'])",
    );
    live.moved.sql_in(side, "postgres", &sql) == "t"
}

fn assert_not_both_open(live: &Live, death: &str) {
    let open = [Side::Source, Side::Target].map(|side| is_open(live, side));
    assert_ne!(open, [true, true], "{death}: both servers are open");
}

/// The writers have gone on at the source.
fn assert_in_service(writers: &Writers) {
    let written = writers.committed_on(Server::Source);
    wait_for("writes on the source", || writers.committed_on(Server::Source) >= written + 100);
}

fn ended_well(live: &Live, writers: Writers) {
    let report = live.end_on_target(writers);
    let proof = live.proof(&report, Side::Target);
    assert!(proof.is_right(), "{proof:?}");
    assert_eq!(report.late, 0, "both servers took writes");
}
