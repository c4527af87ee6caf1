//! What verification finds: each difference that is planted on the target ends the run with 5, and
//! the report names the object.

use std::fmt::Write as _;

use crate::harness::{Move, Side, pgkedge, text};

/// A difference: what the source has, what the target is made to be, and what the report names.
struct Plant {
    source: &'static str,
    tamper: &'static str,
    named: &'static str,
}

const fn plant(source: &'static str, tamper: &'static str, named: &'static str) -> Plant {
    Plant { source, tamper, named }
}

/// Differences of rows.
const ROWS: &[Plant] = &[
    plant(
        "create table one_byte as select 1 as id, 'a long text'::text as t",
        "update one_byte set t = 'a lonG text'",
        "public.one_byte",
    ),
    plant(
        "create table blank as select 'x'::text as t",
        "update blank set t = 'x '",
        "public.blank",
    ),
    plant(
        "create table swapped as select n as id, n::text as t from generate_series(1, 9) n",
        "update swapped set t = case id when 3 then '7' else '3' end where id in (3, 7)",
        "public.swapped",
    ),
    plant(
        "create table duplicates (a int); insert into duplicates values (1), (1), (2)",
        "delete from duplicates where a = 1; insert into duplicates values (1), (2)",
        "public.duplicates",
    ),
    plant(
        "create table lost (a int); insert into lost values (1), (1), (2)",
        "delete from lost where a = 2",
        "public.lost",
    ),
    plant(
        "create table no_value (t text); insert into no_value values (null)",
        "update no_value set t = ''",
        "public.no_value",
    ),
    plant(
        "create table last_bit as select 0.1::float8 as f",
        "update last_bit set f = '0.10000000000000002'",
        "public.last_bit",
    ),
    plant(
        "create table minus_zero as select 0::float8 as f",
        "update minus_zero set f = '-0'",
        "public.minus_zero",
    ),
    plant("create table scale as select 1.0 as n", "update scale set n = 1.00", "public.scale"),
    plant(
        "create table document as select '{\"a\": [1.0]}'::jsonb as j",
        "update document set j = '{\"a\": [1.00]}'",
        "public.document",
    ),
    plant(
        "create table bounds as select '{1,2}'::int[] as a",
        "update bounds set a = '[0:1]={1,2}'",
        "public.bounds",
    ),
    plant(
        "create table halves as select 1::int8 as n",
        "update halves set n = 4294967296",
        "public.halves",
    ),
    plant(
        "create table month as select '1 mon'::interval as i",
        "update month set i = '30 days'",
        "public.month",
    ),
    plant(
        "create table xml_text as select '<a/>'::xml as x",
        "update xml_text set x = '<a></a>'",
        "public.xml_text",
    ),
    plant(
        "create table whole (a int, t text); insert into whole values (1, null)",
        "update whole set t = a, a = null",
        "public.whole",
    ),
];

/// Differences of everything else.
const OBJECTS: &[Plant] = &[
    plant(
        "create table indexed (a int); create index indexed_a on indexed (a)",
        "drop index indexed_a",
        "indexed_a",
    ),
    plant(
        "create function body() returns int language sql as 'select 1'",
        "create or replace function body() returns int language sql as 'select 2'",
        "public.body()",
    ),
    plant(
        "create table granted (a int); grant select, insert on granted to reader",
        "revoke insert on granted from reader",
        "granted",
    ),
    plant(
        "create table column_grant (a int, b int); grant update (a) on column_grant to reader",
        "revoke update (a) on column_grant from reader; grant update (b) on column_grant to reader",
        "column_grant",
    ),
    plant(
        "create sequence behind; select setval('behind', 42)",
        "select setval('behind', 41)",
        "public.behind",
    ),
    plant(
        "create sequence called; select setval('called', 7, true)",
        "select setval('called', 7, false)",
        "public.called",
    ),
    plant("select lo_from_bytea(4711, '\\x00010203')", "select lo_put(4711, 2, '\\xff')", "4711"),
    plant(
        "select lo_create(4712); grant select on large object 4712 to reader",
        "revoke select on large object 4712 from reader",
        "4712",
    ),
    plant(
        "create table owned (a int); alter table owned owner to keeper",
        "alter table owned owner to reader",
        "public.owned",
    ),
    plant(
        "create table commented (a int); comment on column commented.a is 'one'",
        "comment on column commented.a is 'One'",
        "commented",
    ),
    plant(
        "create table defaulted (a int default 1)",
        "alter table defaulted alter a set default 2",
        "public.defaulted",
    ),
    plant(
        "alter database dvd_rental set work_mem = '7MB'",
        "alter database dvd_rental set work_mem = '8MB'",
        "work_mem",
    ),
    plant(
        "alter role reader in database dvd_rental set jit = off",
        "alter role reader in database dvd_rental reset jit",
        "jit",
    ),
    plant(
        "comment on database dvd_rental is 'ours'",
        "comment on database dvd_rental is 'theirs'",
        "comment",
    ),
    plant(
        "create table checked (a int constraint positive check (a > 0))",
        "alter table checked drop constraint positive; alter table checked add constraint positive check (a > -1)",
        "positive",
    ),
    plant(
        "create table unchecked (a int constraint known check (a > 0))",
        "alter table unchecked drop constraint known; alter table unchecked add constraint known check (a > 0) not valid",
        "known",
    ),
    plant(
        "create table triggered (a int); create function f() returns trigger language plpgsql as 'begin return new; end'; \
         create trigger fires before insert on triggered for each row execute function f()",
        "alter table triggered disable trigger fires",
        "triggered",
    ),
    plant(
        "create table guarded (a int); alter table guarded enable row level security; \
         create policy seen on guarded using (a > 0)",
        "drop policy seen on guarded",
        "seen",
    ),
    plant(
        "create table forced (a int); alter table forced force row level security",
        "alter table forced no force row level security",
        "forced",
    ),
    plant(
        "create table identified (a int primary key); alter table identified replica identity full",
        "alter table identified replica identity default",
        "identified",
    ),
    plant(
        "create view shown as select 1 as a",
        "create or replace view shown as select 2 as a",
        "public.shown",
    ),
    plant(
        "create type mood as enum ('sad', 'glad')",
        "alter type mood add value 'odd'",
        "public.mood",
    ),
    plant(
        "create table stored (t text); alter table stored alter t set storage external",
        "alter table stored alter t set storage extended",
        "public.stored",
    ),
    plant(
        "create table filled (a int) with (fillfactor = 70)",
        "alter table filled reset (fillfactor)",
        "public.filled",
    ),
    plant(
        "create table measured (a int); alter table measured alter a set statistics 77",
        "alter table measured alter a set statistics 78",
        "public.measured",
    ),
    plant(
        "create unlogged table unsafe_one (a int)",
        "alter table unsafe_one set logged",
        "unsafe_one",
    ),
    plant(
        "create table parent_of (a int unique); create table child_of (a int constraint refers references parent_of (a) on delete cascade)",
        "alter table child_of drop constraint refers; alter table child_of add constraint refers foreign key (a) references parent_of (a)",
        "refers",
    ),
    plant(
        "create table ruled (a int); create rule quiet as on delete to ruled do instead nothing",
        "drop rule quiet on ruled",
        "quiet",
    ),
    plant(
        "create publication news for all tables with (publish = 'insert')",
        "alter publication news set (publish = 'insert, update')",
        "news",
    ),
    plant(
        "alter default privileges in schema public grant select on tables to reader",
        "alter default privileges in schema public revoke select on tables from reader",
        "DEFAULT PRIVILEGES",
    ),
    plant(
        "create function notice() returns event_trigger language plpgsql as 'begin end'; \
         create event trigger noticed on ddl_command_end when tag in ('CREATE SERVER') execute function notice()",
        "alter event trigger noticed disable",
        "noticed",
    ),
    plant(
        "create materialized view snapshot as select 1 as a",
        "refresh materialized view snapshot with no data",
        "public.snapshot",
    ),
    plant(
        "create schema held; grant usage on schema held to reader",
        "revoke usage on schema held from reader",
        "held",
    ),
    plant("grant keeper to reader", "revoke keeper from reader", "keeper"),
    plant("alter role reader connection limit 5", "alter role reader connection limit 6", "reader"),
    plant("", "create table extra (a int)", "public.extra"),
    plant(
        "create domain small as int check (value < 9)",
        "alter domain small set default 3",
        "public.small",
    ),
];

/// Runs a move in which all of these are planted, and checks that each is told.
fn find(plants: &[Plant]) {
    let moved = Move::new();
    moved.sql(Side::Source, "create role reader; create role keeper");
    let mut planted = String::new();
    for plant in plants.iter().filter(|plant| !plant.named.is_empty()) {
        if !plant.source.is_empty() {
            moved.sql(Side::Source, plant.source);
        }
        writeln!(planted, "          {};", plant.tamper).expect("a String takes every text");
    }
    let plan = moved.plan_with(&format!(
        "phases:\n  - name: tamper\n    after: event_triggers\n    steps:\n      - name: tamper\n        \
         kind: sql\n        on: target\n        idempotent: true\n        run: |\n          \
         set local search_path = public;\n{planted}"
    ));
    let ended = moved.run_plan(&plan).expect(5);
    let told: Vec<&str> = ended.stderr.lines().filter(|line| line.starts_with("  ")).collect();
    let hidden: Vec<&str> = plants
        .iter()
        .map(|plant| plant.named)
        .filter(|named| !told.iter().any(|line| line.contains(named)))
        .collect();
    assert!(hidden.is_empty(), "not told: {hidden:#?}\n{}", ended.stderr);
    let compared = pgkedge(&["verify", text(&moved.plan())]).expect(5);
    let all = format!("{}{}", compared.stdout, compared.stderr);
    let hidden: Vec<&str> =
        plants.iter().map(|plant| plant.named).filter(|named| !all.contains(named)).collect();
    assert!(hidden.is_empty(), "not told by verify: {hidden:#?}\n{all}");
}

#[test]
fn every_difference_of_rows_is_found() {
    find(ROWS);
}

#[test]
fn every_difference_of_objects_is_found() {
    find(OBJECTS);
}
