mod markdown;

use pgkedge_model::{
    Each, Ident, OnFailure, Operation, PhaseName, PhaseRule, ReplicationSet, SecretRef, Slot,
    TimeSpan,
};
use serde_json::json;

use super::*;
use crate::testing::{KINDS, Sketch, World};

fn world() -> World {
    let mut world = World::new().table(1, "public.orders").table(2, "public.gone");
    for n in 3..=6 {
        world = world.sized(n, &format!("public.t{n}"), 100_000 * u64::from(n));
    }
    world.index(20, "public.orders_i", 1, false)
}

fn sketch() -> Sketch {
    Sketch::new()
        .exclude(&["public.gone"])
        .step("check/servers", "watch", None, json!({}))
        .step("load/snapshot", "service", None, json!({ "writes": ["snapshot:source"] }))
        .step(
            "load/copy",
            "small",
            Some(Each::Part),
            json!({ "output": "snapshot:source", "sql": "copy {} from stdin", "before": "lock table x" }),
        )
        .step(
            "load/index",
            "alone",
            Some(Each::Index),
            json!({ "sql": "create index \"\u{1b}[31m\"\n    on {} (id)" }),
        )
        .step("load/release", "alone", None, json!({ "stops": "snapshot", "writes": ["snapshot:source"] }))
        .step("nothing/at_all", "alone", Some(Each::ForeignKey), json!({}))
}

/// A move of tables with hostile names, with two slots and a window of two phases.
fn capture_sketch() -> Sketch {
    sketch()
        .step(
            "fence/close",
            "alone",
            None,
            json!({
                "sql": "alter database shop set default_transaction_read_only to on",
                "undo": "alter database shop reset default_transaction_read_only",
                "writes": ["writes:source"],
            }),
        )
        .step(
            "open/open",
            "alone",
            None,
            json!({
                "sql": "grant connect on database shop to public",
                "irreversible": "whoever writes to the target by now would lose it",
            }),
        )
        .step(
            "after/drop",
            "alone",
            Some(Each::Table),
            json!({
                "sql": "drop publication p{}",
                "undo": "create publication p{}",
            }),
        )
}

fn capture() -> Capture {
    let ident = |name: &str| Ident::new(name).unwrap();
    let set = |name: &str, slot: &str, operations: &[Operation], tables: &[&str]| ReplicationSet {
        name: ident(name),
        slot: ident(slot),
        publication: (slot == "rest").then(|| ident("Rest of it")),
        operations: operations.iter().copied().collect(),
        tables: tables.iter().map(|table| crate::testing::name(table)).collect(),
        through_root: slot == "rest",
    };
    let slot = |name: &str, sets: Vec<ReplicationSet>| Slot {
        name: ident(name),
        existing: name == "rest",
        groups: vec![ident("all")],
        sets,
    };
    let rows = [Operation::Update, Operation::Delete];
    let orders = vec![
        set("orders_rows", "orders", &rows, &["public.orders"]),
        set("orders_inserts", "orders", &[Operation::Insert], &["public.orders"]),
    ];
    let many: Vec<String> = (3..=14).map(|number| format!("public.t{number}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let rest = vec![set("rest", "rest", &Operation::ALL, &many)];
    Capture { slots: vec![slot("orders", orders), slot("rest", rest)] }
}

fn rules() -> BTreeMap<PhaseName, PhaseRule> {
    let rule = PhaseRule { on_failure: OnFailure::Undo, deadline: Some(TimeSpan(30_000)) };
    ["fence", "open"].map(|phase| (PhaseName(phase.into()), rule.clone())).into()
}

fn options(brief: bool) -> Options {
    let open = vec!["begin".into(), "select 1 from pgkedge_‹run›.run\nfor share".into()];
    let close = "insert into pgkedge_‹run›.effect (step, member) values ('‹step›', '‹member›')";
    let forget = "delete from pgkedge_‹run›.effect where step = '‹step›'".into();
    let guard = Guard { open, close: vec![close.into(), "commit".into()], forget };
    let session = vec!["search_path = ''".into(), "TimeZone = 'UTC'".into()];
    Options { session, guard, kinds: KINDS, brief }
}

fn with_subject<T>(show: impl Fn(Subject<'_>) -> T) -> T {
    with_compiled(&world(), &sketch(), show)
}

fn with_capture<T>(show: impl Fn(Subject<'_>) -> T) -> T {
    let world = world().table(7, "public.we|ird`\n\"; drop");
    let capture = capture();
    with_compiled(&world, &capture_sketch(), |subject| {
        let graph = subject.graph.clone().with_rules(rules());
        show(Subject { capture: &capture, graph: &graph, ..subject })
    })
}

fn with_compiled<T>(world: &World, sketch: &Sketch, show: impl Fn(Subject<'_>) -> T) -> T {
    let compiled = sketch.compile(world).unwrap_or_else(|findings| panic!("{findings:#?}"));
    let database = |name: &str| DatabaseRef::new(SecretRef::Env(name.into()));
    let databases = BTreeMap::from([
        (Server::Source, database("SOURCE_URL")),
        (Server::Target, database("TARGET_URL")),
    ]);
    show(Subject {
        plan: "shop",
        path: "plans/shop.yaml",
        databases: &databases,
        facts: &world.0,
        selection: &compiled.selection,
        capture: &compiled.capture,
        graph: &compiled.graph,
        warnings: [&[], &compiled.warnings],
    })
}

#[test]
fn the_text_shows_every_statement() {
    insta::assert_snapshot!(with_subject(|subject| text(subject, &options(false)).unwrap()));
}

#[test]
fn the_brief_text_shows_the_first_members_of_a_bundle() {
    insta::assert_snapshot!(with_subject(|subject| text(subject, &options(true)).unwrap()));
}

#[test]
fn the_document_holds_the_whole_graph() {
    let document = with_subject(|subject| json(subject, &options(true)));
    insta::assert_snapshot!(serde_json::to_string_pretty(&document).unwrap());
}

#[test]
fn the_text_shows_slots_sets_and_windows() {
    insta::assert_snapshot!(with_capture(|subject| text(subject, &options(true)).unwrap()));
}

#[test]
fn the_document_holds_slots_sets_and_windows() {
    let document = with_capture(|subject| json(subject, &options(false)));
    let parts = json!({ "capture": document["capture"], "windows": document["windows"] });
    insta::assert_snapshot!(serde_json::to_string_pretty(&parts).unwrap());
}

#[test]
fn the_sql_shows_every_statement_exact() {
    insta::assert_snapshot!(with_capture(|subject| sql(subject, &options(false)).unwrap()));
}

#[test]
fn the_sql_that_takes_everything_back_goes_backwards() {
    insta::assert_snapshot!(with_capture(|subject| undo_sql(subject, &options(false)).unwrap()));
}

#[test]
fn the_sql_holds_statements_and_comments_and_no_name_gets_out_of_them() {
    with_capture(|subject| {
        let mut rest = sql(subject, &options(false)).unwrap();
        let statements = subject.graph.steps().flat_map(|step| step.statements());
        for text in statements.map(pgkedge_model::Statement::shown) {
            if !text.contains(['‹', '\u{1b}']) {
                assert!(rest.contains(&format!("{text};")), "{text}");
                rest = rest.replacen(&format!("{text};"), "", 1);
            }
        }
        let ledger = ["begin;", "commit;", "select 1 from", "for share;", "insert into", "  ('"];
        let other =
            ["--", "\\", "\"\"; drop\"');", "set transaction snapshot :'load_snapshot_id';"];
        for line in rest.lines().filter(|line| !line.is_empty()) {
            let is_known = ledger.iter().chain(&other).any(|start| line.starts_with(start));
            assert!(is_known, "{line}");
        }
    });
}
