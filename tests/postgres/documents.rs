//! The documents that `pgkedge plan` writes for people: read by the programs that they are for.

use std::collections::BTreeSet;

use pulldown_cmark::{Event, Parser, Tag, TagEnd};
use serde_json::Value;

use crate::harness::{Move, Side, pgkedge, text};

/// The tables, functions, schemas and roles of a server, and how many rows they have.
fn state(moved: &Move, side: Side) -> String {
    moved.dumped(side, "pg_dump", &[]) + &moved.sql(side, "select * from pg_catalog.pg_roles")
}

fn sql_of(moved: &Move, arguments: &[&str]) -> String {
    let plan = moved.plan();
    pgkedge(&[&["plan", text(&plan), "--format", "sql"], arguments].concat()).expect(0).stdout
}

#[test]
fn sql_that_is_run_by_mistake_changes_nothing() {
    let moved = Move::of("objects.sql");
    let before = [state(&moved, Side::Source), state(&moved, Side::Target)];
    for document in [sql_of(&moved, &[]), sql_of(&moved, &["--undo"])] {
        // As it is, and by somebody who finds the line that ends it and takes it out.
        for script in [document.clone(), document.replace("\n\\quit\n", "\n")] {
            for side in [Side::Source, Side::Target] {
                moved.run_script(side, &script);
            }
        }
    }
    assert!(before == [state(&moved, Side::Source), state(&moved, Side::Target)]);
}

#[test]
fn sql_whose_values_are_set_does_what_it_says() {
    let moved = Move::of("objects.sql");
    let document = sql_of(&moved, &[]);
    let from = document.find("-- Phase 2 of").expect("a second phase");
    let to = document.find("-- Phase 4 of").expect("a fourth phase");
    // The ledger, the roles and the schema, with what psql is to put into them.
    let values = "\\set ON_ERROR_STOP on\n\\set run 1a2b3c4d\n\\set run_id 'of my own'\n\
                  \\set epoch 1\n\\set attempt 1\n\\set rows null\n\
                  \\set prepare_ledger_run_id :run_id\n\\set prepare_ledger_epoch :epoch\n";
    let secrets: String = document.lines().filter_map(secret).collect();
    let session = "set check_function_bodies = off;\nset search_path = '';\n";
    let script = format!("{values}{secrets}{session}-- {}", &document[from..to]);
    let wrong = moved.run_script(Side::Target, &script);
    assert!(!wrong.contains("ERROR"), "{wrong}");
    let rows = "select pg_catalog.count(*) > 0 from pgkedge_1a2b3c4d.effect \
                where step like 'schema/%'";
    assert_eq!(moved.sql(Side::Target, rows), "t");
    let tables = "select relname from pg_catalog.pg_class c \
                  join pg_catalog.pg_namespace n on n.oid = c.relnamespace \
                  where relkind in ('r', 'p', 'v', 'm') and nspname !~ '^(pg_|information|pgkedge)' \
                  order by nspname, relname";
    assert_eq!(moved.sql(Side::Target, tables), moved.sql(Side::Source, tables));
}

/// What sets a secret that a line of the document says is open.
fn secret(line: &str) -> Option<String> {
    let (name, what) = line.strip_prefix("-- :")?.split_once(" is ")?;
    match what {
        "‹password verifier of the role›" => Some(format!("\\set {name} null\n")),
        "‹options of the user mapping›" => {
            Some(format!("\\set {name} 'options (user ''guest'')'\n"))
        }
        _ => None,
    }
}

#[test]
fn the_runbook_of_a_capture_leaves_nothing_out() {
    let moved = Move::of("objects.sql");
    let plan = moved.plan_of("full-load-and-capture", "tables_without_identity: full\n");
    let shown = |format| pgkedge(&["plan", text(&plan), "--format", format]).expect(0).stdout;
    let document: Value = serde_json::from_str(&shown("json")).expect("JSON");
    let (blocks, names) = read(&shown("markdown"));
    let is_written = |one: &Value| {
        let ended = format!("{};", one["text"].as_str().expect("a text"));
        blocks.iter().any(|block| block.contains(&ended))
    };
    let phases = document["phases"].as_array().expect("phases").iter();
    let mut members = 0;
    for step in phases.flat_map(|phase| phase["steps"].as_array().expect("steps")) {
        for member in step["members"].as_array().expect("members") {
            let key = member["key"].as_str().expect("a key");
            let statements = member["statements"].as_array().expect("statements");
            assert!(statements.iter().all(is_written) || names.contains(key), "{key}");
            members += 1;
        }
    }
    assert!(members > 100, "{members}");
}

/// The blocks of code of a document, and its names in code.
fn read(markdown: &str) -> (Vec<String>, BTreeSet<String>) {
    let (mut blocks, mut names, mut block) = (Vec::new(), BTreeSet::new(), None);
    for event in Parser::new(markdown) {
        match (event, &mut block) {
            (Event::Start(Tag::CodeBlock(_)), _) => block = Some(String::new()),
            (Event::End(TagEnd::CodeBlock), _) => blocks.extend(block.take()),
            (Event::Text(text), Some(block)) => block.push_str(&text),
            (Event::Code(name), _) => {
                names.insert(name.into_string());
            }
            _ => {}
        }
    }
    (blocks, names)
}
