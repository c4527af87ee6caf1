//! What a valid text becomes.

use crate::support::{KINDS, checked, files, fixtures, plan_with, rendered, root};
use pgkedge_model::{Each, Ident, OnFailure, Operation, QualifiedName, Server};
use pgkedge_plan::{
    Pattern, Plan, Property, expanded_yaml, located, pipeline_schema, plan_schema, report,
};
use serde_json::json;

fn plan(more: &str) -> Plan {
    valid(&plan_with(more))
}

#[expect(clippy::panic, reason = "the reason of a failing test")]
fn valid(text: &str) -> Plan {
    checked(text).unwrap_or_else(|rejection| panic!("{}", rendered(&rejection)))
}

/// Phases and steps: `load: copy index`.
fn outline(plan: &Plan) -> Vec<String> {
    let names = |phase: &pgkedge_plan::PhasePlan| {
        let steps: Vec<&str> = phase.steps.iter().map(|step| step.name.as_str()).collect();
        format!("{}: {}", phase.name, steps.join(" "))
    };
    plan.phases.iter().map(names).collect()
}

/// Everything but the places in the text.
fn meaning(plan: &Plan) -> serde_json::Value {
    let phases: Vec<_> = plan.phases.iter().flat_map(|phase| &phase.steps).collect();
    let steps: Vec<_> = phases
        .iter()
        .map(|step| json!([step.phase, step.name, step.kind, step.each, step.params]))
        .collect();
    let patterns =
        |patterns: &[Pattern]| json!(patterns.iter().map(Pattern::as_str).collect::<Vec<_>>());
    let groups: Vec<_> = plan
        .groups
        .iter()
        .map(|group| {
            let tables = &group.tables;
            json!([group.name, patterns(&tables.patterns), tables.having, group.sets])
        })
        .collect();
    let slots = plan.capture.slots.iter().map(|slot| json!([slot.name, slot.existing]));
    let sets = plan
        .capture
        .sets
        .iter()
        .map(|set| json!([set.name, set.slot, set.operations, set.publication]));
    let capture: Vec<_> = slots.chain(sets).collect();
    let crossing = plan.capture.crossing_foreign_keys.iter().map(ToString::to_string);
    let on_failure: Vec<_> = plan.phases.iter().map(|phase| phase.on_failure).collect();
    json!([
        [capture, crossing.collect::<Vec<_>>(), on_failure],
        [plan.name, plan.pipeline, plan.databases, plan.settings],
        [patterns(&plan.tables.include), patterns(&plan.tables.exclude)],
        groups,
        outline(plan),
        steps,
        plan.waive,
    ])
}

#[test]
fn the_smallest_plan_moves_all_tables_as_one_group() {
    let plan = plan("");
    assert_eq!(
        plan.databases.keys().copied().collect::<Vec<_>>(),
        [Server::Source, Server::Target]
    );
    assert_eq!(plan.groups.len(), 1);
    assert_eq!(plan.groups[0].name.as_str(), "all");
    let odd = QualifiedName::new(Ident::new("Odd").unwrap(), Ident::new("a.b").unwrap());
    assert!(plan.tables.include(&odd) && plan.groups[0].tables.patterns[0].matches(&odd));
    assert!(plan.warnings.is_empty());
}

#[test]
fn the_full_load_has_its_phases_in_order() {
    insta::assert_snapshot!(outline(&plan("")).join("\n"), @r"
    preflight: check
    prepare: ledger
    schema: globals pre_data
    load: snapshot copy large_objects constraint index sequence release
    foreign_keys: create validate
    finish: post_data refresh analyze settings
    event_triggers: event_triggers
    verify: rows catalogs
    cleanup: ledger
    ");
}

#[test]
fn shipped_pipelines_and_examples_are_valid() {
    for (name, bytes) in files(&root().join("pipelines/examples")) {
        let text = String::from_utf8(bytes).unwrap();
        assert!(text.starts_with("# yaml-language-server: $schema=../../schemas/plan"), "{name}");
        assert!(valid(&text).warnings.is_empty(), "{name}");
    }
    for (name, bytes) in files(&root().join("pipelines")) {
        let text = String::from_utf8(bytes).unwrap();
        assert!(text.starts_with("# yaml-language-server: $schema=../schemas/pipeline"), "{name}");
        // A pipeline that reads a replica needs one, any other warns of it; one without a hand-off
        // needs to be told where capture begins.
        let databases = "databases:\n  replica: { url: { env: REPLICA_URL } }\n";
        let plan = plan_with("").replace("pipeline: full-load", &format!("pipeline: {name}"));
        let with_replica = plan.replace("databases:\n", databases);
        let from_now = format!("{plan}change_capture: {{ from: now }}\n");
        let plan = checked(&plan).or_else(|_| checked(&with_replica));
        let plan = plan.or_else(|_| checked(&from_now));
        let plan = plan.unwrap_or_else(|rejection| panic!("{}", rendered(&rejection)));
        assert!(plan.warnings.is_empty(), "{name}");
    }
}

#[test]
fn a_plan_written_out_in_full_is_the_same_plan() {
    let mut texts = files(&root().join("pipelines/examples"));
    texts.extend(files(&fixtures().join("valid")));
    for (name, bytes) in texts {
        let plan = checked(bytes).unwrap_or_else(|rejection| panic!("{}", rendered(&rejection)));
        let written = expanded_yaml(&plan);
        let again = valid(&written);
        assert_eq!(meaning(&plan), meaning(&again), "{name}:\n{written}");
        assert_eq!(written, expanded_yaml(&again), "{name}");
    }
}

#[test]
fn the_smallest_plan_written_out_in_full() {
    insta::assert_snapshot!("smallest_plan_expanded", expanded_yaml(&plan("")));
}

#[test]
fn a_byte_order_mark_is_no_part_of_the_plan() {
    let plan = valid(&format!("\u{FEFF}{}", plan_with("")));
    assert_eq!(plan.name, "move-shop");
    assert_eq!(plan.map.position(plan.map.value("/version").start).column, 10);
}

#[test]
fn findings_in_merged_fields_point_at_where_they_are_written() {
    let text = plan_with(
        "tables: { include: [\"public.*\"] }\ngroups:\n  - &first\n    name: a\n    tables: [public.a]\n  \
         - <<: *first\n    name: b\n",
    );
    let rejection = checked(&text).unwrap_err();
    let places = &rejection.located()[0]["places"];
    assert_eq!(rejection.findings[0].code, "plan::claimed_pattern");
    assert_eq!((&places[0]["line"], &places[0]["column"]), (&json!(11), &json!(14)));
    assert_eq!(places[0]["pointer"], "/groups/1/tables/0");
}

#[test]
fn findings_of_a_catalog_point_into_the_plan_as_well() {
    let plan = plan("tables:\n  # žluťoučký\n  exclude: [\"public.tmp_*\"]\n");
    let pointer = plan.tables.exclude[0].pointer.clone().unwrap();
    let finding =
        pgkedge_model::Finding::error("compile::unmatched", "`public.tmp_*` matches no table")
            .at_value(pointer, "matches nothing")
            .at(pgkedge_model::Place::Server(Server::Source))
            .help("remove it");
    let findings = [finding];
    assert_eq!(located(&plan.map, &findings)[0]["places"][0]["line"], 9);
    insta::assert_snapshot!("finding_of_a_catalog", rendered(&report(&plan.map, &findings)));
}

#[test]
fn new_phases_go_where_they_say_and_keep_their_order() {
    let plan = plan(
        "phases:\n  - { name: third, after: second }\n  - { name: first, after: verify }\n  \
         - { name: second, after: first }\n  - { name: fourth, after: verify }\n  \
         - { name: zeroth, before: preflight }\n  - { name: event_triggers, remove: true }\n  \
         - { name: instead, after: event_triggers }\n",
    );
    let names: Vec<_> = plan.phases.iter().map(|phase| phase.name.0.as_str()).collect();
    assert_eq!(
        names,
        [
            "zeroth",
            "preflight",
            "prepare",
            "schema",
            "load",
            "foreign_keys",
            "finish",
            "instead",
            "verify",
            "first",
            "second",
            "third",
            "fourth",
            "cleanup",
        ]
    );
}

#[test]
fn steps_are_added_replaced_and_removed() {
    let plan = plan(
        "phases:\n  - name: finish\n    steps:\n      - { name: settings, remove: true }\n      \
         - { name: refresh, kind: approval, message: Refresh by hand. }\n      \
         - { name: ask, kind: approval, message: Go?, after: post_data }\n      \
         - { name: last, kind: approval, message: Done? }\n",
    );
    let finish = plan.phases.iter().find(|phase| phase.name.0 == "finish").unwrap();
    let steps: Vec<_> =
        finish.steps.iter().map(|step| (step.name.as_str(), step.kind.as_str())).collect();
    assert_eq!(
        steps,
        [
            ("post_data", "copy_schema"),
            ("ask", "approval"),
            ("refresh", "approval"),
            ("analyze", "analyze"),
            ("last", "approval"),
        ]
    );
    assert_eq!(finish.steps[1].params, json!({ "message": "Go?" }));
    assert_eq!(finish.steps[1].pointer.as_deref(), Some("/phases/0/steps/2"));
    assert_eq!(finish.steps[3].each, Some(Each::Table));
    assert_eq!(finish.steps[3].pointer, None);
}

#[test]
fn groups_choose_by_patterns_and_by_properties() {
    let plan = plan(
        "groups:\n  - { name: keyed, tables: { having: [primary_key, partitioned], matching: [\"a.*\"] } }\n  \
         - { name: unlogged, tables: { having: [unlogged] } }\n  - { name: rest, tables: [\"*\"] }\n",
    );
    let [keyed, unlogged, rest] = plan.groups.as_slice() else { panic!("three groups") };
    assert_eq!(keyed.tables.having, [Property::PrimaryKey, Property::Partitioned]);
    assert_eq!(keyed.tables.patterns[0].pointer.as_deref(), Some("/groups/0/tables/matching/0"));
    assert!(unlogged.tables.patterns[0].is_everything());
    assert_eq!(unlogged.tables.having_pointer.as_deref(), Some("/groups/1/tables/having"));
    assert_eq!(rest.pointer.as_deref(), Some("/groups/2"));
}

/// The capture fixture, with more behind it.
fn capturing(more: &str) -> Plan {
    valid(&plan_with(more).replace("full-load", "./pipelines/capture.yaml"))
}

#[test]
fn a_pipeline_that_captures_has_one_slot_and_one_set_unless_the_plan_says_more() {
    let plan =
        capturing("groups:\n  - { name: a, tables: [a.b] }\n  - { name: rest, tables: [\"*\"] }\n");
    let capture = &plan.capture;
    assert_eq!((capture.slots.len(), capture.sets.len()), (1, 1));
    assert_eq!((capture.slots[0].name.as_str(), capture.slots[0].existing), ("changes", false));
    assert_eq!(capture.sets[0].operations, Operation::ALL.into());
    assert!(plan.groups.iter().all(|group| group.sets == [capture.sets[0].name.clone()]));
    assert!(self::plan("").capture.slots.is_empty());
}

#[test]
fn a_group_that_names_a_slot_has_a_set_of_all_operations_beside_those_that_are_written() {
    let plan = capturing(
        "slots: { orders: {} }\nreplication_sets: { orders: { slot: orders } }\ngroups:\n  \
         - { name: a, tables: [a.b], replication_sets: [orders] }\n  \
         - { name: b, tables: [b.c], slot: orders }\n  - { name: c, tables: [\"*\"] }\n",
    );
    let names: Vec<_> = plan.capture.sets.iter().map(|set| set.name.as_str()).collect();
    assert_eq!(names, ["orders", "orders_all"]);
    let of_groups: Vec<_> = plan.groups.iter().map(|group| group.sets[0].as_str()).collect();
    assert_eq!(of_groups, ["orders", "orders_all", "orders_all"]);
}

#[test]
fn a_pipeline_has_the_phases_of_the_parts_that_it_includes() {
    let plan = capturing("");
    insta::assert_snapshot!(outline(&plan).join("\n"), @r"
    capture: publication slot
    load: snapshot prove copy release
    replicate: apply
    verify: rows
    fence: fence
    check: rows
    open: target
    after: capture
    ");
    let undone = plan.phases.iter().filter(|phase| phase.on_failure == OnFailure::Undo);
    let undone: Vec<_> = undone.map(|phase| phase.name.0.as_str()).collect();
    assert_eq!(undone, ["fence", "check", "open"]);
}

#[test]
fn the_replica_and_the_way_from_the_target_are_kept() {
    let databases = "databases:\n  replica: { url: { env: REPLICA_URL } }\n  ";
    let text = plan_with("").replace("databases:\n  ", databases);
    let text =
        text.replace("SOURCE_URL } }", "SOURCE_URL }, from_target: { url: { service: shop } } }");
    let plan = valid(&text.replace("full-load", "./pipelines/replica.yaml"));
    assert!(plan.databases.contains_key(&Server::Replica));
    let way = plan.databases[&Server::Source].from_target.as_ref().unwrap();
    assert_eq!(json!(way.url), json!({ "service": "shop" }));
}

#[test]
fn a_waived_warning_is_not_shown() {
    let waived = "waive: [{ code: plan::unverified, reason: compared by hand }]\n";
    let removed = "phases: [{ name: verify, remove: true }]\n";
    assert_eq!(plan(removed).warnings.len(), 1);
    assert!(plan(&format!("{removed}{waived}")).warnings.is_empty());
}

#[test]
fn the_schemas_are_valid_and_know_the_fields_of_every_kind() {
    for schema in [plan_schema(KINDS), pipeline_schema(KINDS)] {
        assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
        assert_eq!(
            schema["$defs"]["step_approval"]["required"],
            json!(["name", "kind", "message"])
        );
        assert_eq!(
            schema["$defs"]["step_copy_schema"]["properties"]["section"]["$ref"],
            "#/$defs/copy_schema_Section"
        );
    }
}

/// Texts that differ from good ones by one slip: a line that is lost, a cut, another character.
fn slips(text: &str) -> Vec<String> {
    let lines: Vec<&str> = text.lines().collect();
    let without = |lost: usize| {
        let kept = lines.iter().enumerate().filter(|(n, _)| *n != lost);
        kept.map(|(_, line)| *line).collect::<Vec<_>>().join("\n")
    };
    let cuts = text.char_indices().step_by(997).map(|(at, _)| text[..at].to_owned());
    let instead = |c: char| text.char_indices().step_by(1531).map(move |(at, old)| (at, old, c));
    let swapped = ['*', '\t', '"', ':', '[', 'ž', '&', '{', '-', '!']
        .into_iter()
        .flat_map(instead)
        .map(|(at, old, c)| format!("{}{c}{}", &text[..at], &text[at + old.len_utf8()..]));
    (0..lines.len()).step_by(3).map(without).chain(cuts).chain(swapped).collect()
}

#[test]
fn no_slip_makes_the_check_panic_and_every_finding_can_be_shown() {
    let mut texts = files(&root().join("pipelines/examples"));
    texts.extend(files(&fixtures().join("valid")));
    for (_, bytes) in texts {
        for text in slips(&String::from_utf8(bytes).unwrap()) {
            if let Err(rejection) = checked(&text) {
                assert!(
                    !rejection.findings.is_empty() && !rendered(&rejection).is_empty(),
                    "{text}"
                );
            }
        }
    }
}
