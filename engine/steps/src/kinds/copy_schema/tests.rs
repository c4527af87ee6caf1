use super::*;
use crate::testing::{Sample, entry, ident, shown};

fn sample(entries: Vec<Entry>) -> Sample {
    let mut sample = Sample::default();
    sample.facts.source.entries = entries;
    sample
}

fn pre(number: u32, kind: &str, name: &str, statements: &[&str]) -> Entry {
    Entry { section: Section::PreData, ..entry(number, kind, name, statements) }
}

fn keys(sample: &Sample, params: Value) -> Vec<String> {
    let drafts = sample.expand::<CopySchema>(params).unwrap();
    drafts.into_iter().map(|draft| draft.key).collect()
}

fn undo_of(draft: &Draft) -> Vec<String> {
    match &draft.script.undo {
        Undo::Statements(statements) => shown(statements),
        Undo::Nothing | Undo::Irreversible(_) => Vec::new(),
    }
}

#[test]
fn entries_come_in_the_archives_order_after_those_they_depend_on() {
    let mut table = pre(5, "TABLE", "ord\"ers", &["CREATE TABLE public.\"ord\"\"ers\" ()"]);
    table.depends = vec![4];
    table.object = Some(("table".into(), "public.\"ord\"\"ers\"".into()));
    let sample = sample(vec![pre(4, "TYPE", "t", &["CREATE TYPE public.t"]), table]);
    let drafts = sample.expand::<CopySchema>(json!({ "section": "pre-data" })).unwrap();
    assert_eq!(drafts[1].key, "TABLE public.ord\"ers");
    assert_eq!(
        drafts[1].touches,
        [
            Touch::read(Object::new("entry", 4)),
            Touch::write(Object::new("entry", 5)),
            Touch::read(Object::new("roles", Server::Target)),
        ]
    );
    assert_eq!(undo_of(&drafts[1]), ["drop table if exists public.\"ord\"\"ers\""]);
    assert_eq!(drafts[1].fold, Fold::Chain);
}

#[test]
fn parts_and_excluded_tables_are_left_out() {
    let mut comment = entry(4, "COMMENT", "EVENT TRIGGER e", &["COMMENT ON EVENT TRIGGER e IS ''"]);
    comment.depends = vec![3];
    let mut index_comment = entry(6, "COMMENT", "INDEX i", &["COMMENT ON INDEX public.i IS 'x'"]);
    index_comment.depends = vec![1];
    let mut sample = sample(vec![
        entry(1, "INDEX", "i", &["CREATE INDEX i"]),
        entry(2, "TRIGGER", "t", &["CREATE TRIGGER t"]),
        entry(3, "EVENT TRIGGER", "e", &["CREATE EVENT TRIGGER e"]),
        comment,
        entry(5, "TRIGGER", "gone", &["CREATE TRIGGER gone"]),
        index_comment,
        entry(7, "SUBSCRIPTION", "s", &["CREATE SUBSCRIPTION s"]),
    ]);
    sample.excluded_entries.insert(5);
    let rest = json!({ "section": "post-data", "without": ["indexes", "event_triggers"] });
    assert_eq!(keys(&sample, rest), ["TRIGGER public.t", "COMMENT public.INDEX i"]);
    let only = json!({ "section": "post-data", "only": ["event_triggers"] });
    assert_eq!(keys(&sample, only), ["EVENT TRIGGER public.e", "COMMENT public.EVENT TRIGGER e"]);
}

#[test]
fn a_comment_on_a_post_data_object_is_post_data() {
    let mut comment = pre(2, "COMMENT", "INDEX i", &["COMMENT ON INDEX public.i IS 'x'"]);
    comment.depends = vec![1];
    let sample = sample(vec![entry(1, "INDEX", "i", &["CREATE INDEX i"]), comment]);
    assert!(keys(&sample, json!({ "section": "pre-data" })).is_empty());
    assert_eq!(keys(&sample, json!({ "section": "post-data", "without": ["indexes"] })).len(), 1);
}

#[test]
fn public_is_changed_and_put_back() {
    let create = "CREATE SCHEMA public";
    let sample = sample(vec![
        pre(1, "SCHEMA", "public", &[create, "ALTER SCHEMA public OWNER TO shop"]),
        pre(2, "ACL", "SCHEMA public", &["GRANT ALL ON SCHEMA public TO PUBLIC"]),
    ]);
    let drafts = sample.expand::<CopySchema>(json!({ "section": "pre-data" })).unwrap();
    assert_eq!(shown(&drafts[0].script.run), ["ALTER SCHEMA public OWNER TO shop"]);
    assert_eq!(undo_of(&drafts[0]), ["alter schema public owner to pg_database_owner"]);
    assert_eq!(undo_of(&drafts[1])[1], "grant usage on schema public to public");
}

#[test]
fn an_empty_public_is_dropped_where_the_source_has_none() {
    let mut sample = sample(Vec::new());
    sample.facts.source.schemas = vec![ident("app")];
    let drafts = sample.expand::<CopySchema>(json!({ "section": "pre-data" })).unwrap();
    assert_eq!(shown(&drafts[0].script.run), ["drop schema public"]);
    assert_eq!(undo_of(&drafts[0])[0], "create schema public authorization pg_database_owner");
}

#[test]
fn options_of_a_user_mapping_are_read_when_it_is_created() {
    let mut mapping = pre(
        8,
        "USER MAPPING",
        "USER MAPPING a SERVER s",
        &["CREATE USER MAPPING FOR \"a b\" SERVER s"],
    );
    mapping.settings =
        vec![(pgkedge_postgres::WITHHELD_OPTIONS.to_owned(), "1 withheld".to_owned())];
    let sample = sample(vec![mapping]);
    let drafts = sample.expand::<CopySchema>(json!({ "section": "pre-data" })).unwrap();
    assert_eq!(
        shown(&drafts[0].script.run),
        ["CREATE USER MAPPING FOR \"a b\" SERVER s ‹options of the user mapping›"]
    );
    assert_eq!(drafts[0].params, json!({ "user_mapping": { "role": "a b", "server": "s" } }));
    assert_eq!(undo_of(&drafts[0]), ["drop user mapping if exists FOR \"a b\" SERVER s"]);
}

#[test]
fn an_extension_that_was_there_stays() {
    let mut sample = sample(vec![
        pre(
            1,
            "EXTENSION",
            "hstore",
            &["CREATE EXTENSION IF NOT EXISTS hstore WITH SCHEMA public"],
        ),
        pre(2, "COMMENT", "EXTENSION hstore", &["COMMENT ON EXTENSION hstore IS 'x'"]),
    ]);
    sample.facts.source.entries[0].object = Some(("extension".into(), "hstore".into()));
    let undone = |sample: &Sample| {
        let drafts = sample.expand::<CopySchema>(json!({ "section": "pre-data" })).unwrap();
        (drafts.len(), undo_of(&drafts[0]))
    };
    assert_eq!(undone(&sample), (2, vec!["drop extension if exists hstore".to_owned()]));
    sample.target().extensions.push(pgkedge_model::Extension {
        name: "hstore".to_owned(),
        version: "1.8".to_owned(),
        schema: ident("public"),
        config_tables: Vec::new(),
    });
    assert_eq!(undone(&sample), (1, Vec::new()));
}

#[test]
fn an_unknown_part_is_refused() {
    let sample = sample(Vec::new());
    let params = json!({ "section": "post-data", "without": ["subscriptions"] });
    let findings = sample.expand::<CopySchema>(params).unwrap_err();
    assert_eq!(findings[0].code, "steps::unfit_parameters");
}

#[test]
fn grants_go_with_their_object_unless_it_is_the_systems_own() {
    let grant = "GRANT SELECT(relname),INSERT ON TABLE pg_catalog.pg_class TO \"a b\"";
    let own = "GRANT ALL ON TABLE public.t TO a";
    let mut on_own = pre(3, "ACL", "TABLE t", &[own]);
    on_own.depends = vec![2];
    let sample = sample(vec![
        pre(1, "ACL", "TABLE pg_class", &[grant]),
        pre(2, "TABLE", "t", &["CREATE TABLE public.t ()"]),
        on_own,
    ]);
    let drafts = sample.expand::<CopySchema>(json!({ "section": "pre-data" })).unwrap();
    assert_eq!(
        undo_of(&drafts[0]),
        ["REVOKE SELECT(relname),INSERT ON TABLE pg_catalog.pg_class FROM \"a b\""]
    );
    assert!(undo_of(&drafts[2]).is_empty());
}

/// Triggers of a partitioned table: one that fires always, whose copy is switched off in a
/// partition, and one whose copy alone fires on a replica; and a rule that fires always.
fn held() -> Sample {
    let create = |name: &str| format!("CREATE TRIGGER {name} AFTER INSERT ON public.r");
    let always = "ALTER TABLE public.r ENABLE ALWAYS TRIGGER held";
    let mut comment = entry(3, "COMMENT", "TRIGGER held ON r", &["COMMENT ON TRIGGER held"]);
    comment.depends = vec![2];
    let mut off = entry(4, "TRIGGER", "r1 held", &["ALTER TABLE public.r1 DISABLE TRIGGER held"]);
    off.depends = vec![2];
    off.object = Some(("trigger".into(), "held on public.r1".into()));
    let mut copy = entry(6, "TRIGGER", "r2 p", &["ALTER TABLE public.r2 ENABLE REPLICA TRIGGER p"]);
    copy.depends = vec![5];
    copy.object = Some(("trigger".into(), "p on public.r2".into()));
    let rule = "CREATE RULE ru AS ON INSERT TO public.x DO SELECT ' ENABLE ALWAYS RULE '";
    let mut trigger = entry(2, "TRIGGER", "r held", &[&create("held"), always]);
    trigger.object = Some(("trigger".into(), "held on public.r".into()));
    sample(vec![
        trigger,
        comment,
        off,
        entry(5, "TRIGGER", "r p", &[&create("p")]),
        copy,
        entry(7, "RULE", "x ru", &[rule]),
        entry(8, "RULE", "x on", &[rule, "ALTER TABLE public.x ENABLE ALWAYS RULE \"on\""]),
        entry(9, "PUBLICATION", "p", &["CREATE PUBLICATION p"]),
        entry(10, "PUBLICATION TABLE", "p r", &["ALTER PUBLICATION p ADD TABLE ONLY public.r"]),
        entry(11, "PUBLICATION TABLES IN SCHEMA", "p s", &["ALTER PUBLICATION p ADD TABLES"]),
    ])
}

const HELD: [&str; 5] = [
    "TRIGGER public.r held",
    "COMMENT public.TRIGGER held ON r",
    "TRIGGER public.r1 held",
    "TRIGGER public.r2 p",
    "RULE public.x on",
];

#[test]
fn what_fires_while_changes_are_applied_comes_by_itself() {
    let sample = held();
    let post = |rest: Value| {
        let mut params = json!({ "section": "post-data" });
        params.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        keys(&sample, params)
    };
    assert_eq!(post(json!({ "only": ["held_triggers"] })), HELD);
    assert_eq!(
        post(json!({ "without": ["held_triggers", "publications"] })),
        ["TRIGGER public.r p", "RULE public.x ru"]
    );
    assert_eq!(post(json!({ "only": ["held_triggers", "publications"] })).len(), HELD.len() + 3);
}

#[test]
fn held_triggers_and_rules_are_triggers_and_rules() {
    let sample = held();
    let params = json!({ "section": "post-data", "only": ["triggers"] });
    assert_eq!(keys(&sample, params).len(), 5);
    let params = json!({ "section": "post-data", "without": ["triggers", "publications"] });
    assert_eq!(keys(&sample, params), ["RULE public.x ru", "RULE public.x on"]);
    let params =
        json!({ "section": "post-data", "only": ["triggers"], "without": ["held_triggers"] });
    assert_eq!(keys(&sample, params), ["TRIGGER public.r p"]);
}

#[test]
fn a_partitions_copy_of_a_trigger_is_switched_back_where_the_trigger_stays() {
    let sample = held();
    let undo = |params: Value, key: &str| {
        let drafts = sample.expand::<CopySchema>(params).unwrap();
        undo_of(drafts.iter().find(|draft| draft.key == key).unwrap())
    };
    let only = json!({ "section": "post-data", "only": ["held_triggers"] });
    assert_eq!(
        undo(only.clone(), "TRIGGER public.r2 p"),
        ["ALTER TABLE public.r2 ENABLE TRIGGER p"]
    );
    assert_eq!(undo(only.clone(), HELD[0]), ["drop trigger if exists held on public.r"]);
    assert!(undo(only, "TRIGGER public.r1 held").is_empty());
    assert!(undo(json!({ "section": "post-data" }), "TRIGGER public.r2 p").is_empty());
}

#[test]
fn a_held_trigger_waits_for_the_rows_of_its_table_and_its_partitions() {
    let mut sample = held();
    sample.table(20, "public", "r").kind = pgkedge_model::TableKind::Partitioned;
    let root = sample.facts.source.tables[0].name.clone();
    sample.table(21, "public", "r1").partition =
        Some(pgkedge_model::PartitionFacts { parent: root.clone(), root, through_root: false });
    sample.table(22, "public", "other");
    let drafts = sample.expand::<CopySchema>(json!({ "section": "post-data" })).unwrap();
    let reads = |key: &str| {
        let draft = drafts.iter().find(|draft| draft.key == key).unwrap();
        let data = draft.touches.iter().filter(|touch| touch.object.0.starts_with("data:"));
        data.map(|touch| touch.object.0.clone()).collect::<Vec<_>>()
    };
    assert_eq!(reads(HELD[0]), ["data:public.r", "data:public.r1"]);
    assert!(reads("TRIGGER public.r p").is_empty());
}

#[test]
fn triggers_of_unlogged_tables_wait_for_the_rows_that_come_at_the_cutover() {
    let mut trigger = entry(2, "TRIGGER", "basket t", &["CREATE TRIGGER t"]);
    trigger.object = Some(("trigger".into(), "t on public.basket".into()));
    let mut other = entry(3, "TRIGGER", "orders t", &["CREATE TRIGGER t"]);
    other.object = Some(("trigger".into(), "t on public.orders".into()));
    let mut sample = sample(vec![trigger, other]);
    sample.table(10, "public", "basket").unlogged = true;
    sample.table(11, "public", "orders");
    let without = || json!({ "section": "post-data", "without": ["held_triggers"] });
    assert_eq!(keys(&sample, without()).len(), 2, "nothing is captured");
    sample.slot("rest", Vec::new());
    assert_eq!(keys(&sample, without()), ["TRIGGER public.orders t"]);
    let only = json!({ "section": "post-data", "only": ["held_triggers"] });
    assert_eq!(keys(&sample, only), ["TRIGGER public.basket t"]);
    sample.settings.unlogged = pgkedge_model::UnloggedPolicy::SchemaOnly;
    assert_eq!(keys(&sample, without()).len(), 2, "their rows stay behind");
}
