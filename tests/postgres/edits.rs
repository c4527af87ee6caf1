//! `resume PLAN`: what of a plan may be edited when half of it is done.

use crate::harness::{Move, Side, pgkedge, text};

/// How a run takes an edited plan.
enum Taken {
    /// Nothing that matters has changed.
    Silently,
    /// The edit is in the journal, and said to the user in these words.
    Recorded(&'static str),
    /// With this exit code, and these words.
    Refused(i32, &'static str),
}
use Taken::{Recorded, Refused, Silently};

const ROWS: &str = "
    create table public.big (id bigint primary key, filler text);
    insert into public.big select g, repeat(md5(g::text), 8) from generate_series(1, 20000) g;
    create table public.other as select g as id from generate_series(1, 100) g;
    create table public.third as select g as id from generate_series(1, 100) g;
    analyze";

const LOAD: &str = "load: { part_size: 2MiB, workers: 2 }\n";
const EARLY: &str =
    "  - { name: early, after: prepare, steps: [{ name: mark, kind: sql, run: select 1 }] }\n";
const LATE: &str = "  - { name: late, after: verify, steps: [{ name: mark, kind: sql, run: create schema late, undo: drop schema late }] }\n";

/// What is half done: `early` and `load` are through, `late` is not.
fn plan() -> String {
    format!("{LOAD}phases:\n{EARLY}{LATE}")
}

fn edits() -> Vec<(&'static str, String, Taken)> {
    let plan = plan();
    let with = |from: &str, to: &str| plan.replace(from, to);
    let phase = |text: &str| format!("{plan}{text}");
    vec![
        ("a comment", format!("# Looked at again.\n{plan}"), Silently),
        ("fewer workers", with("workers: 2", "workers: 1"), Recorded("load.workers: 2 → 1")),
        (
            "fewer connections",
            format!("limits: {{ target_connections: 4 }}\n{plan}"),
            Recorded("limits.target_connections: 8 → 4"),
        ),
        (
            "verification by count",
            format!("verify: {{ method: count }}\n{plan}"),
            Recorded(r#"verify.method: "digest" → "count""#),
        ),
        ("another part size", with("2MiB", "64MiB"), Refused(8, "load/copy")),
        ("rows as text", with("workers: 2", "workers: 2, format: text"), Refused(8, "load/copy")),
        ("no bundles", with("workers: 2", "workers: 2, bundle_below: 0"), Refused(8, "load/copy")),
        (
            "a pending step's SQL",
            with("create schema late", "create schema later"),
            Recorded("changes late/mark: its parameters"),
        ),
        (
            "a done step's SQL",
            plan.replacen("select 1", "select 2", 1),
            Refused(8, "`early/mark` is done"),
        ),
        (
            "a phase behind those that are done",
            phase(
                "  - { name: more, after: late, steps: [{ name: one, kind: sql, run: select 1 }] }\n",
            ),
            Recorded("adds more/one (sql)"),
        ),
        (
            "a phase between those that are done",
            phase(
                "  - { name: more, after: schema, steps: [{ name: one, kind: sql, run: select 1 }] }\n",
            ),
            Refused(8, "`more/one` is new, but"),
        ),
        ("a pending phase goes", with(LATE, ""), Recorded("removes late/mark")),
        ("a done phase goes", with(EARLY, ""), Refused(8, "`early/mark` is done")),
        (
            "a done phase of the pipeline goes",
            phase("  - { name: schema, remove: true }\n"),
            Refused(8, "step `schema/"),
        ),
        (
            "a pending phase of the pipeline goes",
            phase("  - { name: finish, remove: true }\n"),
            Recorded("removes finish/analyze"),
        ),
        (
            "a step moves to a later phase",
            with(LATE, &LATE.replace("name: late", "name: later")),
            Recorded("adds later/mark (sql)"),
        ),
        (
            "a loaded table is left out",
            format!("tables: {{ exclude: [public.other] }}\n{plan}"),
            Refused(8, "public.other"),
        ),
        ("a new name", plan.clone() + "name: renamed\n", Silently),
        ("a field that is none", format!("{plan}worker: 3\n"), Refused(3, "worker")),
    ]
}

#[test]
fn each_edit_of_a_half_done_run_is_taken_or_refused_as_it_must() {
    let moved = Move::new();
    moved.sql(Side::Source, ROWS);
    let original = moved.plan_named("original", &plan());
    let state = text(&moved.state);
    let resume = |plan: &std::path::Path| {
        pgkedge(&["resume", text(plan), "--state", state, "--until", "load"])
    };
    pgkedge(&["run", text(&original), "--yes", "--state", state, "--until", "load"]).expect(0);
    for (name, fields, taken) in edits() {
        let edited = moved.plan_named("edited", &fields);
        if fields.contains("name: renamed") {
            let text = std::fs::read_to_string(&edited).expect("it was written");
            let text = text.replace("name: sandbox\n", "").replace("\nname: renamed", "");
            std::fs::write(&edited, format!("name: renamed\n{text}")).expect("it is written");
        }
        let ended = resume(&edited);
        let told = format!("{name}\n{}", ended.stderr);
        match taken {
            Silently => {
                assert!(!ended.expect(0).stderr.contains("edited:"), "{told}");
            }
            Recorded(words) => {
                assert!(ended.expect(0).stderr.contains(words), "{told}");
                resume(&original).expect(0);
            }
            Refused(code, words) => assert!(ended.expect(code).stderr.contains(words), "{told}"),
        }
    }
    swapped(&moved, &resume);
    moved_away(&moved, &resume);
    resume(&original).expect(0);
    moved.of_run(&["resume"]).expect(0);
    moved.assert_nothing_is_left();
    assert_eq!(
        moved.sql(Side::Target, "select count(*) from pg_namespace where nspname = 'late'"),
        "1"
    );
    let log = moved.of_run(&["log"]).expect(0).stdout;
    assert!(log.contains("plan edited: changes load.workers: 2 → 1"), "{log}");
}

/// Source and target the other way round are other databases.
fn swapped(moved: &Move, resume: &dyn Fn(&std::path::Path) -> crate::harness::Ended) {
    let path = moved.plan_named("swapped", &plan());
    let text = std::fs::read_to_string(&path).expect("it was written");
    let text = text.replace("source: {", "other: {").replace("target: {", "source: {");
    std::fs::write(&path, text.replace("other: {", "target: {")).expect("it is written");
    let ended = resume(&path).expect(8);
    assert!(ended.stderr.contains("the source is another database"), "{}", ended.stderr);
    assert!(ended.stderr.contains("of cluster"), "{}", ended.stderr);
}

/// The same databases may be reached in another way.
fn moved_away(moved: &Move, resume: &dyn Fn(&std::path::Path) -> crate::harness::Ended) {
    let there = moved.sandbox.folder.join("moved.url");
    std::fs::copy(&moved.sandbox.source.url, &there).expect("the url is copied");
    let path = moved.plan_named("moved", &plan());
    let written = std::fs::read_to_string(&path).expect("it was written");
    let old = text(&moved.sandbox.source.url).to_owned();
    std::fs::write(&path, written.replace(&old, text(&there))).expect("it is written");
    let ended = resume(&path).expect(0);
    assert!(ended.stderr.contains("changes databases.source.url"), "{}", ended.stderr);
}
