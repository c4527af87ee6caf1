//! A whole move, of databases that are hard to move.

use crate::harness::{Move, Side};

fn moves(database: &str) -> Move {
    let moved = Move::of(database);
    moved.run().expect(0);
    moved.assert_nothing_is_left();
    moved
}

#[test]
fn every_built_in_type_moves() {
    moves("types.sql");
}

#[test]
fn hostile_names_move() {
    moves("names.sql");
}

#[test]
fn odd_settings_of_the_database_change_nothing() {
    moves("settings.sql");
}

#[test]
fn every_kind_of_object_moves() {
    moves("objects.sql");
}

#[test]
fn two_thousand_small_tables_take_few_records() {
    let moved = moves("many.sql");
    let tables = "select count(*) from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace";
    assert_eq!(moved.sql(Side::Target, tables), moved.sql(Side::Source, tables));
    let log = moved.of_run(&["log", "--output", "json"]).expect(0);
    let records = log.stdout.lines().count();
    assert!(records <= 1_000, "{records} records");
}

#[test]
fn a_difference_ends_the_run_with_5_and_names_the_table() {
    let moved = Move::new();
    moved.sql(Side::Source, "create table public.t (a int); insert into public.t values (1), (2)");
    let plan = moved.plan_with(
        "phases:\n  - name: tamper\n    after: load\n    steps:\n      - name: tamper\n        kind: sql\n        on: target\n        run: delete from public.t where a = 2\n        idempotent: true\n",
    );
    let ended = moved.run_plan(&plan).expect(5);
    assert!(ended.stderr.contains("public.t"), "{}", ended.stderr);
}
