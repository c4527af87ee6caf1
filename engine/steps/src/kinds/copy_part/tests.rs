use pgkedge_model::PartitionFacts;

use super::*;
use crate::testing::{Sample, column, entry, ident, name, shown};

fn sample() -> Sample {
    let mut sample = Sample::default();
    let table = sample.table(10, "public", "or\"ders");
    table.columns = vec![column("id", 23), column("Total", 1700), column("sum", 23)];
    table.columns[2].generated = true;
    sample.with_builtin_types();
    let mut definition = entry(3, "TABLE", "or\"ders", &[]);
    (definition.class, definition.oid) = (CLASS, 10);
    sample.facts.source.entries.push(definition);
    sample
}

fn draft(sample: &Sample, part: &Part) -> Draft {
    sample.expand_part::<CopyPart>(10, part, json!({})).unwrap().remove(0)
}

#[test]
fn a_whole_table_is_copied_without_its_generated_columns() {
    let draft = draft(&sample(), &Part::WHOLE);
    assert_eq!(
        shown(&draft.script.before),
        [
            "begin transaction isolation level repeatable read read only",
            "set transaction snapshot ‹snapshot:source.id›",
        ]
    );
    assert_eq!(
        shown(&draft.script.run),
        [
            "copy public.\"or\"\"ders\" (id, \"Total\") to stdout (format binary)",
            "copy public.\"or\"\"ders\" (id, \"Total\") from stdin (format binary)",
        ]
    );
    assert_eq!(shown(&draft.script.after), ["commit"]);
    let (out, into) = (&draft.script.run[0], &draft.script.run[1]);
    assert_eq!((out.on, out.transaction), (Server::Source, Transaction::Alone));
    assert_eq!((into.on, into.transaction), (Server::Target, Transaction::Guarded));
    assert_eq!((draft.fold, draft.key.as_str()), (Fold::Small, "public.\"or\"\"ders\""));
    let Undo::Statements(undo) = &draft.script.undo else { panic!("no undo") };
    assert_eq!(shown(undo), ["truncate table only public.\"or\"\"ders\""]);
}

#[test]
fn parts_add_to_their_tables_rows_within_one_snapshot() {
    assert_eq!(
        draft(&sample(), &Part::WHOLE).touches,
        [
            Touch::read(Object::new("snapshot", Server::Source)),
            Touch::add(Object::new("data", "public.\"or\"\"ders\"")),
            Touch::add(Object::new("rows", Server::Target)),
            Touch::read(Object::new("entry", 3)),
        ]
    );
}

#[test]
fn parts_are_ranges_of_pages_with_open_ends_and_watch_the_file() {
    let parts = Part::of_pages(30, 3);
    let sample = sample();
    let out = |part| draft(&sample, part).script.run[0].shown();
    let select = "copy (select id, \"Total\" from only public.\"or\"\"ders\" where";
    let end = "to stdout (format binary)";
    assert_eq!(out(&parts[0]), format!("{select} ctid < '(10,0)'::pg_catalog.tid) {end}"));
    assert_eq!(
        out(&parts[1]),
        format!(
            "{select} ctid >= '(10,0)'::pg_catalog.tid and ctid < '(20,0)'::pg_catalog.tid) {end}"
        )
    );
    assert_eq!(out(&parts[2]), format!("{select} ctid >= '(20,0)'::pg_catalog.tid) {end}"));
    let draft = draft(&sample, &parts[1]);
    assert_eq!(draft.params["filenode"], 10);
    assert_eq!((draft.fold, draft.key.as_str()), (Fold::Alone, "public.\"or\"\"ders\" 2/3"));
}

#[test]
fn rows_of_an_extension_are_chosen_and_taken_back_by_its_condition() {
    let mut sample = sample();
    sample.facts.source.tables[0].extension_rows = Some("WHERE id > 9".to_owned());
    let draft = draft(&sample, &Part::WHOLE);
    assert_eq!(
        draft.script.run[0].shown(),
        "copy (select id, \"Total\" from only public.\"or\"\"ders\" WHERE id > 9) to stdout \
         (format binary)"
    );
    let Undo::Statements(undo) = &draft.script.undo else { panic!("no undo") };
    assert_eq!(shown(undo), ["delete from only public.\"or\"\"ders\" WHERE id > 9"]);
}

#[test]
fn xml_travels_as_the_text_that_it_is() {
    let mut sample = sample();
    sample.facts.source.tables[0].columns.push(column("x", 142));
    assert_eq!(
        draft(&sample, &Part::WHOLE).script.run[0].shown(),
        "copy (select id, \"Total\", x::pg_catalog.text from only public.\"or\"\"ders\") to stdout"
    );
}

#[test]
fn a_table_without_columns_is_copied_without_a_list() {
    let mut sample = sample();
    sample.facts.source.tables[0].columns.clear();
    let draft = draft(&sample, &Part::WHOLE);
    assert_eq!(
        draft.script.run[1].shown(),
        "copy public.\"or\"\"ders\" from stdin (format binary)"
    );
}

#[test]
fn a_leaf_whose_rows_may_belong_elsewhere_is_loaded_through_the_root() {
    let mut sample = sample();
    let root = name("public", "root");
    sample.facts.source.tables[0].partition =
        Some(PartitionFacts { parent: root.clone(), root, through_root: true });
    let run = draft(&sample, &Part::WHOLE).script.run;
    assert!(run[0].shown().starts_with("copy public.\"or\"\"ders\""));
    assert!(run[1].shown().starts_with("copy public.root (id"));
}

#[test]
fn the_reason_for_text_is_told() {
    let mut sample = sample();
    sample.facts.source.tables[0].columns.push(column("kind", 2205));
    let draft = draft(&sample, &Part::WHOLE);
    assert_eq!(draft.params["because"], "column kind is of type type 2205");
    assert!(draft.script.run[0].shown().ends_with("to stdout"));
    sample.facts.source.tables[0].columns.pop();
    sample.target().database.encoding = "LATIN1".to_owned();
    let draft = self::draft(&sample, &Part::WHOLE);
    assert_eq!(draft.params["because"], "the source is in UTF8, the target in LATIN1");
}

/// The table on a slot of its own.
fn captured() -> Sample {
    let mut sample = sample();
    let tables = vec![name("public", "or\"ders")];
    sample.selection.groups.push(pgkedge_model::TableGroup { name: ident("all"), tables });
    sample.slot("all", Vec::new());
    sample
}

#[test]
fn on_the_replica_rows_are_read_between_two_proofs_that_nothing_was_replayed() {
    let sample = captured();
    let parts = Part::of_pages(30, 3);
    let params = json!({ "from": "replica" });
    let draft = sample.expand_part::<CopyPart>(10, &parts[1], params).unwrap().remove(0);
    let before = shown(&draft.script.before);
    assert_eq!(before[0], "begin transaction isolation level repeatable read read only");
    assert!(before[1].contains("‹slot_hand_off:all.lsn› as noted_lsn"), "{}", before[1]);
    assert!(before[1].contains("‹hand_off:lsn.started› as noted_started"), "{}", before[1]);
    assert_eq!(shown(&draft.script.after), [before[1].as_str(), "commit"]);
    let on = |statement: &Statement| statement.on;
    assert!(draft.script.before.iter().all(|one| on(one) == Server::Replica));
    assert_eq!(
        draft.script.run.iter().map(on).collect::<Vec<_>>(),
        [Server::Replica, Server::Target]
    );
    // Nothing can be rewritten there.
    assert_eq!(draft.params["filenode"], Value::Null);
    let read = |kind, name| Touch::read(Object::new(kind, name));
    let first = [read("replay", "replica"), read("hand_off", "lsn"), read("slot_hand_off", "all")];
    assert_eq!(draft.touches[..3], first);
}

#[test]
fn parts_of_a_captured_load_wait_for_the_proof_of_their_slot() {
    let touches = draft(&captured(), &Part::WHOLE).touches;
    assert!(touches.contains(&Touch::read(Object::new("slot_hand_off", "all"))));
}

#[test]
fn unlogged_parts_come_from_the_source_as_it_is() {
    let mut sample = captured();
    let unlogged = |sample: &Sample| {
        let table = sample.facts.source.table(10).unwrap();
        let item = Item::Part(table, &Part::WHOLE);
        sample.expand_each::<CopyPart>(Each::UnloggedPart, item, json!({ "from": "replica" }))
    };
    let draft = unlogged(&sample).unwrap().remove(0);
    let begin = "begin transaction isolation level repeatable read read only";
    assert_eq!(shown(&draft.script.before), [begin]);
    assert_eq!(draft.script.run[0].on, Server::Source);
    sample.settings.unlogged = UnloggedPolicy::SchemaOnly;
    assert!(unlogged(&sample).unwrap().is_empty());
}
