use pgkedge_model::{Each, Finding, ServerVersion, Severity};
use pgkedge_plan::Property;
use serde_json::json;

use crate::testing::{Sketch, World, shown};

fn shop() -> World {
    World::new()
        .table(1, "public.orders")
        .table(2, "public.customers")
        .table(3, "billing.invoices")
        .foreign_key(9, "orders_customer", 1, 2)
}

#[test]
fn a_pattern_that_matches_nothing_is_named_with_the_nearest_table() {
    let sketch = Sketch::new()
        .include(&["publik.*", "*"])
        .exclude(&["public.oders", "zzz.tmp_*"])
        .groups(&[("first", &["billing.invoice"]), ("rest", &["*"])]);
    insta::assert_snapshot!(sketch.errors(&shop()));
}

#[test]
fn a_group_of_excluded_tables_alone_is_empty() {
    let sketch = Sketch::new()
        .exclude(&["billing.*"])
        .groups(&[("first", &["billing.invoices"]), ("rest", &["*"])]);
    insta::assert_snapshot!(sketch.errors(&shop()));
}

#[test]
fn a_table_belongs_to_one_group() {
    let sketch = Sketch::new().groups(&[("first", &["public.orders"]), ("second", &["*.o*"])]);
    insta::assert_snapshot!(sketch.errors(&shop()));
}

#[test]
fn a_group_that_takes_the_rest_takes_nothing_from_the_others() {
    let sketch = Sketch::new().groups(&[("rest", &["*"]), ("first", &["public.orders"])]);
    let groups = sketch.compile(&shop()).unwrap().selection.groups;
    assert_eq!((groups[0].tables.len(), groups[1].tables.len()), (2, 1));
}

#[test]
fn a_foreign_key_needs_both_tables() {
    insta::assert_snapshot!(Sketch::new().exclude(&["public.customers"]).errors(&shop()));
}

#[test]
fn a_view_of_an_excluded_table_cannot_move() {
    let world = shop()
        .entry(20, "VIEW", "public.v", &[3])
        .entry(21, "FUNCTION", "public.f", &[3])
        .entry(22, "TRIGGER", "public.t", &[1, 21])
        .entry(23, "DEFAULT", "public.d", &[1, 24])
        .entry(24, "SEQUENCE", "billing.s", &[3]);
    insta::assert_snapshot!(Sketch::new().exclude(&["billing.invoices"]).errors(&world));
}

#[test]
fn a_partition_needs_its_parent() {
    let world = World::new().table(1, "public.p").partition(2, "public.p1", "public.p");
    insta::assert_snapshot!(Sketch::new().include(&["public.p1"]).errors(&world));
    assert_eq!(Sketch::new().exclude(&["public.p"]).errors(&world), "");
}

#[test]
fn steps_that_do_not_fit_together_are_named() {
    let sketch = Sketch::new()
        .step("one/typo", "alnoe", None, json!({}))
        .step("one/early", "alone", None, json!({ "output": "snapshot:source" }))
        .step("one/hold", "service", None, json!({ "writes": ["snapshot:source"] }))
        .step("one/twice", "alone", Some(Each::Table), json!({ "key": "same" }))
        .step("one/stray", "alone", None, json!({ "output": "slot:a" }))
        .step("one/stop", "alone", None, json!({ "stops": "hodl" }));
    insta::assert_snapshot!(sketch.errors(&shop()));
}

#[test]
fn a_service_that_nothing_stops_would_never_end() {
    let sketch = Sketch::new().step("one/hold", "service", None, json!({}));
    insta::assert_snapshot!(sketch.errors(&shop()));
}

#[test]
fn an_output_that_nothing_gives_names_the_kind_that_would() {
    let sketch = Sketch::new().step(
        "load/copy",
        "alone",
        Some(Each::Table),
        json!({ "output": "snapshot:source" }),
    );
    insta::assert_snapshot!(sketch.errors(&shop()));
}

#[test]
fn what_is_good_to_know_is_a_note() {
    let mut world = shop().sized(4, "public.large", 8 << 30);
    world.0.source.server.version = ServerVersion(120_022);
    let warnings = Sketch::new().compile(&world).unwrap().warnings;
    assert!(!warnings.iter().any(Finding::is_error));
    insta::assert_snapshot!(shown(warnings.iter()));
}

#[test]
fn a_group_whose_properties_no_table_has_is_a_warning() {
    let mut sketch = Sketch::new().groups(&[("unlogged", &["*"]), ("rest", &["*"])]);
    sketch.groups[0].tables.having = vec![Property::Unlogged];
    sketch.groups[0].tables.having_pointer = Some("/groups/0/tables/having".into());
    let warnings = sketch.compile(&shop()).unwrap().warnings;
    insta::assert_snapshot!(shown(
        warnings.iter().filter(|warning| warning.severity == Severity::Warning)
    ));
}

#[test]
fn groups_by_property_take_what_no_group_names() {
    let world = shop().index(10, "public.unique", 1, true).index(11, "billing.unique", 3, true);
    let mut sketch = Sketch::new().groups(&[
        ("uniques", &["*"]),
        ("named", &["public.orders"]),
        ("rest", &["*"]),
    ]);
    sketch.groups[0].tables.having = vec![Property::OtherUniqueIndex];
    let groups = sketch.compile(&world).unwrap().selection.groups;
    let tables: Vec<String> = groups.iter().map(|group| format!("{:?}", group.tables)).collect();
    insta::assert_snapshot!(tables.join("\n"));
}

#[test]
fn partitions_stay_together_unless_a_group_asks_for_them() {
    let world = World::new()
        .table(1, "public.keyed")
        .table(2, "public.event")
        .partition(3, "public.event_1", "public.event")
        .index(10, "public.event_1_unique", 3, true);
    let mut sketch = Sketch::new().groups(&[
        ("uniques", &["*"]),
        ("partitions", &["public.event_*"]),
        ("rest", &["*"]),
    ]);
    sketch.groups[0].tables.having = vec![Property::OtherUniqueIndex];
    let tables = |sketch: &Sketch| -> Vec<usize> {
        let groups = sketch.compile(&world).unwrap().selection.groups;
        groups.iter().map(|group| group.tables.len()).collect()
    };
    sketch.groups[1].tables.having = vec![Property::Partitioned];
    assert_eq!(tables(&sketch), [0, 1, 2]);
    sketch.groups[1].tables.having = vec![Property::PrimaryKey];
    assert_eq!(tables(&sketch), [0, 0, 3]);
}

#[test]
fn nothing_in_a_window_may_bar_the_way_back_before_its_last_phase() {
    let steps = |irreversible| {
        let params = json!({ "irreversible": irreversible });
        let mut sketch = Sketch::new()
            .step("fence/smoke", "small", None, params.clone())
            .step("open/open", "small", None, params.clone())
            .step("after/tell", "small", None, params);
        for phase in &mut sketch.phases[..2] {
            phase.on_failure = pgkedge_model::OnFailure::Undo;
        }
        sketch
    };
    insta::assert_snapshot!(steps(json!("the plan gives no `undo:` for it")).errors(&shop()));
    assert_eq!(steps(json!(null)).errors(&shop()), "");
}
