use pgkedge_model::{
    Capture, Each, Ident, IdentityKind, Operation, PublishedPartitions, ServerVersion, TableKind,
    WithoutIdentity,
};

use serde_json::json;

use crate::testing::{Sketch, World, shown};

const ROWS: [Operation; 2] = [Operation::Update, Operation::Delete];
const INSERTS: [Operation; 2] = [Operation::Insert, Operation::Truncate];

fn captured(sketch: &Sketch, world: &World) -> Capture {
    sketch.compile(world).unwrap_or_else(|findings| panic!("{findings:#?}")).capture
}

/// `slot: set(operations) tables`, roots marked.
fn drawn(capture: &Capture) -> String {
    let mut lines = Vec::new();
    for slot in &capture.slots {
        for set in &slot.sets {
            let operations: Vec<String> =
                set.operations.iter().map(|operation| format!("{operation:?}")).collect();
            let tables: Vec<String> = set.tables.iter().map(ToString::to_string).collect();
            let root = if set.through_root { " through roots" } else { "" };
            let (operations, tables) = (operations.join(" "), tables.join(" "));
            lines.push(format!("{}: {}({operations}) {tables}{root}", slot.name, set.name));
        }
    }
    lines.join("\n")
}

fn warnings(sketch: &Sketch, world: &World) -> String {
    let compiled = sketch.compile(world).unwrap_or_else(|findings| panic!("{findings:#?}"));
    shown(compiled.warnings.iter().filter(|finding| finding.code != "compile::target_assumed"))
}

/// With a step for the tables that no slot carries.
fn with_unlogged(sketch: Sketch) -> Sketch {
    sketch.step("late/unlogged", "alone", Some(Each::UnloggedPart), json!({}))
}

fn tree() -> World {
    World::new()
        .table(1, "public.event")
        .partition(2, "public.event_1", "public.event")
        .partition(3, "public.event_2", "public.event")
        .table(4, "public.plain")
}

#[test]
fn without_slots_nothing_is_captured() {
    assert!(captured(&Sketch::new(), &tree()).is_empty());
}

#[test]
fn logged_tables_are_published_and_nothing_else() {
    let world = World::new()
        .table(1, "public.a")
        .table(2, "public.b")
        .unlogged(2)
        .table(3, "public.view")
        .change(3, |table| table.kind = TableKind::MaterializedView)
        .table(4, "public.elsewhere")
        .change(4, |table| table.kind = TableKind::Foreign);
    let sketch = with_unlogged(Sketch::new().captured());
    insta::assert_snapshot!(drawn(&captured(&sketch, &world)), @"changes: changes(Insert Update Delete Truncate) public.a");
}

#[test]
fn a_slot_carries_the_sets_of_its_groups() {
    let world = World::new().table(1, "public.a").table(2, "public.b").table(3, "public.c");
    let mut sketch = Sketch::new()
        .slots(&["orders", "rest"])
        .set("rows", "orders", &ROWS)
        .set("inserts", "orders", &INSERTS)
        .carried(&[
            ("a", &["public.a"], "rows"),
            ("b", &["public.b"], "rest"),
            ("c", &["*"], "rest"),
        ]);
    let inserts = sketch.capture.sets[1].name.clone();
    sketch.groups[0].sets.push(inserts);
    let capture = captured(&sketch, &world);
    insta::assert_snapshot!(drawn(&capture), @"
    orders: rows(Update Delete) public.a
    orders: inserts(Insert Truncate) public.a
    rest: rest(Insert Update Delete Truncate) public.b public.c
    ");
    let groups: Vec<&str> = capture.slots[1].groups.iter().map(Ident::as_str).collect();
    assert_eq!(groups, ["b", "c"]);
}

#[test]
fn a_tree_is_published_as_its_root_where_that_is_possible() {
    let mut sketch = Sketch::new().captured();
    insta::assert_snapshot!(drawn(&captured(&sketch, &tree())), @"changes: changes(Insert Update Delete Truncate) public.event public.plain through roots");
    let mut old = tree();
    old.0.source.server.version = ServerVersion(120_022);
    insta::assert_snapshot!(drawn(&captured(&sketch, &old)), @"changes: changes(Insert Update Delete Truncate) public.event_1 public.event_2 public.plain");
    insta::assert_snapshot!(warnings(&sketch, &old));
    let some = sketch.clone().exclude(&["public.event_2"]);
    insta::assert_snapshot!(drawn(&captured(&some, &tree())), @"changes: changes(Insert Update Delete Truncate) public.event_1 public.plain");
    sketch.settings.partitions = PublishedPartitions::Leaf;
    insta::assert_snapshot!(drawn(&captured(&sketch, &tree())), @"changes: changes(Insert Update Delete Truncate) public.event_1 public.event_2 public.plain");
}

#[test]
fn a_tree_stays_together() {
    let apart = [("one", &["public.event_1"] as &[&str], "a"), ("rest", &["*"], "b")];
    let sketch = Sketch::new().slots(&["a", "b"]).carried(&apart);
    assert!(sketch.errors(&tree()).starts_with("compile::tree_on_two_slots: "));
    let mut sketch = Sketch::new()
        .slots(&["a"])
        .set("one", "a", &Operation::ALL)
        .carried(&[("one", &["public.event_1"], "one"), ("rest", &["*"], "a")]);
    insta::assert_snapshot!(sketch.errors(&tree()));
    sketch.settings.partitions = PublishedPartitions::Leaf;
    insta::assert_snapshot!(drawn(&captured(&sketch, &tree())));
}

#[test]
fn tables_that_inherit_stay_on_one_slot() {
    let mut world = World::new().table(1, "public.parent").table(2, "public.child");
    let child = world.0.source.entries.last_mut().unwrap();
    child.depends = vec![1];
    child.statements = vec!["CREATE TABLE public.child (\n)\nINHERITS (public.parent)".into()];
    let groups = [("parent", &["public.parent"] as &[&str], "a"), ("child", &["*"], "b")];
    insta::assert_snapshot!(Sketch::new().slots(&["a", "b"]).carried(&groups).errors(&world));
    assert_eq!(Sketch::new().captured().errors(&world), "");
}

#[test]
fn tables_without_identity_are_refused_captured_in_part_or_changed() {
    let world = tree().keyless(4).keyless(3);
    let mut sketch = Sketch::new().captured();
    insta::assert_snapshot!(sketch.errors(&world));
    sketch.settings.tables_without_identity = WithoutIdentity::InsertOnly;
    insta::assert_snapshot!(drawn(&captured(&sketch, &world)));
    insta::assert_snapshot!(warnings(&sketch, &world));
    sketch.settings.tables_without_identity = WithoutIdentity::Full;
    insta::assert_snapshot!(drawn(&captured(&sketch, &world)));
    insta::assert_snapshot!(warnings(&sketch, &world));
}

#[test]
fn what_only_adds_needs_no_identity() {
    let world = World::new().table(1, "public.log").table(2, "public.log2").keyless(1);
    let mut sketch = Sketch::new()
        .slots(&["changes"])
        .set("rows", "changes", &ROWS)
        .set("inserts", "changes", &INSERTS)
        .carried(&[("all", &["*"], "rows")]);
    let inserts = sketch.capture.sets[1].name.clone();
    sketch.groups[0].sets.push(inserts);
    sketch.settings.tables_without_identity = WithoutIdentity::InsertOnly;
    insta::assert_snapshot!(drawn(&captured(&sketch, &world)));
}

#[test]
fn a_publication_that_is_there_has_all_tables_of_its_groups() {
    let world = World::new().table(1, "public.log").table(2, "public.rows").keyless(1);
    let mut sketch = Sketch::new().captured();
    sketch.capture.sets[0].publication = Some(Ident::new("app").unwrap());
    insta::assert_snapshot!(sketch.errors(&world));
    sketch.settings.tables_without_identity = WithoutIdentity::InsertOnly;
    insta::assert_snapshot!(drawn(&captured(&sketch, &world)), @"changes: changes(Insert Update Delete Truncate) public.log public.rows");
    insta::assert_snapshot!(warnings(&sketch, &world));
    // One that has none but those that are added to need not publish more.
    let world = World::new().table(1, "public.log").keyless(1);
    insta::assert_snapshot!(drawn(&captured(&sketch, &world)), @"changes: changes(Insert Truncate) public.log");
}

#[test]
fn a_generated_column_identifies_no_row() {
    let mut world = World::new()
        .table(1, "public.a")
        .column(1, "id", true)
        .index(10, "public.a_pkey", 1, true)
        .table(2, "public.full")
        .column(2, "computed", true)
        .change(2, |table| table.identity.kind = IdentityKind::Full);
    let index = &mut world.0.source.indexes[0];
    index.primary = true;
    index.definition = "CREATE UNIQUE INDEX a_pkey ON public.a USING btree (b, id)".into();
    insta::assert_snapshot!(Sketch::new().captured().errors(&world));
    world.0.source.server.version = ServerVersion(180_001);
    insta::assert_snapshot!(Sketch::new().captured().errors(&world));
}

#[test]
fn a_foreign_key_between_slots_is_allowed_by_name_alone() {
    let world = tree()
        .table(5, "public.reader")
        .foreign_key(20, "event_plain", 1, 4)
        .foreign_key(21, "event_1_plain", 2, 4)
        .foreign_key(22, "reader_plain", 5, 4);
    let groups =
        [("plain", &["public.plain", "public.reader"] as &[&str], "a"), ("rest", &["*"], "b")];
    let mut sketch = Sketch::new().slots(&["a", "b"]).carried(&groups);
    insta::assert_snapshot!(sketch.errors(&world));
    sketch = sketch.crossing(&["public.event.event_plain"]);
    assert_eq!(sketch.errors(&world), "");
    sketch = sketch.crossing(&["public.event.event_plian", "public.reader.reader_plain"]);
    insta::assert_snapshot!(sketch.errors(&world));
}

#[test]
fn version_10_publishes_no_truncate() {
    let mut world = World::new().table(1, "public.a");
    world.0.source.server.version = ServerVersion(100_023);
    let sketch = Sketch::new().captured();
    insta::assert_snapshot!(drawn(&captured(&sketch, &world)));
    insta::assert_snapshot!(warnings(&sketch, &world));
}

#[test]
fn a_slot_with_nothing_to_carry_is_not_created() {
    let world = World::new().table(1, "public.a").table(2, "public.b").unlogged(1);
    let groups = [("cache", &["public.a"] as &[&str], "cache"), ("rest", &["*"], "rest")];
    let sketch = with_unlogged(Sketch::new().slots(&["cache", "rest"]).carried(&groups));
    assert_eq!(captured(&sketch, &world).slots.len(), 1);
    insta::assert_snapshot!(warnings(&sketch, &world));
}
