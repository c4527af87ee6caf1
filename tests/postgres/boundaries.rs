//! Where a capture begins decides whether a commit is lost, doubled, or neither. PostgreSQL says nothing of
//! one that is lost: whatever is not exact is found before anybody gets to the target.

use pgkedge_model::Lsn;

use crate::harness::{Ended, Move, Side, tell};
use crate::live::traces::Traces;

/// Names that need all the care there is: two quotes, a comma in a list of names.
const ROWS: &str = "App's \"rows\", all";
const LINES: &str = "lines";

/// A table that finds its rows, and one that can only be added to.
const TABLES: &str = "create table public.accounts (id integer primary key, owner text not null);
    create table public.lines (at integer, what text);
    insert into public.accounts values (0, 'before');
    insert into public.lines values (0, 'before')";

/// A commit on the source: where its record begins, and where it ends.
#[derive(Debug, Clone, Copy)]
struct Commit {
    start: Lsn,
    end: Lsn,
}

/// Two databases that are equal as of the first of three commits, and a slot that has them all.
struct Boundary {
    before: Traces,
    commits: [Commit; 3],
}

#[test]
fn a_capture_from_the_very_end_of_a_commit_loses_and_doubles_nothing() {
    let moved = Move::new();
    let boundary = Boundary::new(&moved, [&both(1), &both(2), &both(3)]);
    run_from(&moved, boundary.commits[0].end).expect(0);
    for table in ["public.accounts", "public.lines"] {
        let rows = format!("select string_agg(t::text, ' ' order by 1) from {table} t");
        assert_eq!(moved.sql(Side::Target, &rows), moved.sql(Side::Source, &rows), "{table}");
        let count = format!("select count(*) from {table}");
        assert_eq!(moved.sql(Side::Target, &count), "4", "{table}");
    }
    assert!(is_open(&moved, Side::Target) && !is_open(&moved, Side::Source));
    Traces::of(&moved).assert_moved(&boundary.before);
    moved.assert_nothing_is_left();
}

#[test]
fn a_capture_that_begins_too_late_or_too_early_never_opens_the_target() {
    let moved = Move::new();

    // A byte into the record of a commit, and all of it is skipped: PostgreSQL has no error for that.
    let boundary = Boundary::new(&moved, [&both(1), &both(2), &both(3)]);
    let ended = run_from(&moved, Lsn(boundary.commits[1].start.0 + 1));
    let said = taken_back(&moved, &ended);
    assert!(said.contains("public.accounts") && said.contains("public.lines"), "{said}");
    let lost = "select string_agg(id::text, ' ' order by id) from public.accounts";
    assert_eq!(moved.sql(Side::Target, lost), "0 1 3");
    boundary.abort(&moved);

    // A commit too early, and a row that nothing keeps from it is there twice.
    let boundary = Boundary::new(&moved, [&line(1), &both(2), &both(3)]);
    let ended = run_from(&moved, boundary.commits[0].start);
    let said = taken_back(&moved, &ended);
    assert!(said.contains("public.lines") && !said.contains("public.accounts"), "{said}");
    let doubled = "select count(*) from public.lines where at = 1";
    assert_eq!(moved.sql(Side::Target, doubled), "2");
    boundary.abort(&moved);

    // The same with a key: the change fails each time it is applied.
    let boundary = Boundary::new(&moved, [&both(1), &both(2), &both(3)]);
    let ended = run_from(&moved, boundary.commits[0].start);
    let said = not_opened(&moved, &ended);
    assert!(said.contains("fails over a change"), "{said}");
    boundary.abort(&moved);
}

#[test]
fn a_position_that_the_slot_or_the_source_does_not_have_is_refused() {
    let moved = Move::new();

    let boundary = Boundary::new(&moved, [&both(1), &both(2), &both(3)]);
    let confirmed = boundary.commits[1].end;
    let advance =
        format!("select end_lsn from pg_replication_slot_advance('there', '{confirmed}')");
    assert_eq!(moved.sql(Side::Source, &advance), confirmed.to_string());
    let from = boundary.commits[0].end;
    let said = run_from(&moved, from).expect(1).stderr;
    assert!(said.contains(&format!("slot there of the source cannot serve from {from}")), "{said}");
    assert!(said.contains(&format!("confirmed position of the slot {confirmed}")), "{said}");
    boundary.abort(&moved);

    let boundary = Boundary::new(&moved, [&both(1), &both(2), &both(3)]);
    let future = Lsn(boundary.commits[2].end.0 + (1 << 32));
    let said = run_from(&moved, future).expect(1).stderr;
    let refused = format!("slot there of the source cannot serve from {future}");
    assert!(said.contains(&refused) && said.contains("has written up to"), "{said}");
    boundary.abort(&moved);
}

impl Boundary {
    /// Makes both databases anew.
    fn new(moved: &Move, transactions: [&str; 3]) -> Self {
        moved.again();
        let database = &moved.cluster(Side::Source).database;
        let source = |sql: &str| moved.sql_in(Side::Source, "postgres", sql);
        source("select pg_drop_replication_slot(slot_name) from pg_replication_slots");
        source(&format!("drop database {database} with (force)"));
        source(&format!("create database {database}"));
        for side in [Side::Source, Side::Target] {
            moved.sql(side, TABLES);
        }
        let rows = ROWS.replace('"', "\"\"");
        moved.sql(Side::Source, &format!("create publication \"{rows}\" for table accounts"));
        let lines = "for table lines with (publish = 'insert, truncate')";
        moved.sql(Side::Source, &format!("create publication {LINES} {lines}"));
        moved.sql(Side::Source, "select pg_create_logical_replication_slot('there', 'pgoutput')");
        let before = Traces::of(moved);
        for sql in transactions {
            // Flushed, for the slot to show it at once.
            let sql = format!("begin; set local synchronous_commit to on; {sql}; commit");
            moved.sql(Side::Source, &sql);
        }
        moved.sql(Side::Target, transactions[0]);
        Self { before, commits: commits(moved) }
    }

    /// Nothing of the run is left, and all that was there before it is.
    fn abort(&self, moved: &Move) {
        moved.of_run(&["abort", "--yes"]).expect(0);
        Traces::of(moved).assert_untouched(&self.before);
        moved.assert_nothing_is_left();
    }
}

/// A row for each of the tables.
fn both(number: u32) -> String {
    format!("insert into public.accounts values ({number}, 'of {number}'); {}", line(number))
}

fn line(number: u32) -> String {
    format!("insert into public.lines values ({number}, 'of {number}')")
}

/// The commits that the slot holds, as it hands them out: `C`, flags, start and end of the record.
fn commits(moved: &Move) -> [Commit; 3] {
    let names = format!("\"{}\",{LINES}", ROWS.replace('"', "\"\"")).replace('\'', "''");
    let found = moved.sql(
        Side::Source,
        &format!(
            "select encode(substr(data, 3, 16), 'hex') from pg_logical_slot_peek_binary_changes(
               'there', null, null, 'proto_version', '1', 'publication_names', '{names}')
             where get_byte(data, 0) = ascii('C')"
        ),
    );
    let position = |hex: &str| Lsn(u64::from_str_radix(hex, 16).expect("eight bytes"));
    let commit = |line: &str| Commit { start: position(&line[..16]), end: position(&line[16..]) };
    let commits: Vec<Commit> = found.lines().map(commit).collect();
    commits.try_into().expect("three commits")
}

/// A run of changes alone, from a position.
fn run_from(moved: &Move, from: Lsn) -> Ended {
    tell(&format!("capture from {from}"));
    let rows = serde_json::Value::from(ROWS);
    let plan = moved.plan_of(
        "capture-only",
        &format!(
            "slots: {{ there: {{ existing: true }} }}
replication_sets:
  rows: {{ slot: there, publication: {rows} }}
  lines: {{ slot: there, publication: {LINES} }}
groups:
  - {{ name: rows, tables: [public.accounts], replication_sets: [rows] }}
  - {{ name: lines, tables: [public.lines], replication_sets: [lines] }}
tables_without_identity: insert_only
change_capture: {{ from: {{ lsn: {from} }} }}
"
        ),
    );
    moved.run_plan(&plan)
}

/// The cutover failed and was taken back.
#[track_caller]
fn taken_back(moved: &Move, ended: &Ended) -> String {
    let said = not_opened(moved, ended);
    assert!(said.contains("in service"), "{said}");
    said
}

/// The run failed: the source is in service, and nobody gets to the target.
#[track_caller]
fn not_opened(moved: &Move, ended: &Ended) -> String {
    let said = format!("{}{}", ended.stdout, ended.stderr);
    assert!(matches!(ended.code, Some(1 | 5)), "{:?} {said}", ended.code);
    assert!(is_open(moved, Side::Source) && !is_open(moved, Side::Target));
    said
}

/// Whether anybody may connect to a database, and write there.
fn is_open(moved: &Move, side: Side) -> bool {
    let database = &moved.cluster(side).database;
    let sql = format!(
        "select has_database_privilege('public', '{database}', 'connect') and not exists (
           select from pg_db_role_setting s join pg_database d on d.oid = s.setdatabase
            where d.datname = '{database}' and s.setrole = 0
              and s.setconfig @> array['default_transaction_read_only=on'])"
    );
    moved.sql_in(side, "postgres", &sql) == "t"
}
