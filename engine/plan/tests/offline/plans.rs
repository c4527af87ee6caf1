//! What a valid text becomes.

use crate::support::{KINDS, checked, files, fixtures, plan_with, rendered, root};
use pgkedge_model::{Each, Ident, QualifiedName, Server};
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
        .map(|group| json!([group.name, patterns(&group.tables.patterns), group.tables.having]))
        .collect();
    json!([
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
        valid(&plan_with("").replace("full-load", &name));
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
    let cuts = text.char_indices().step_by(211).map(|(at, _)| text[..at].to_owned());
    let instead = |c: char| text.char_indices().step_by(197).map(move |(at, old)| (at, old, c));
    let swapped = ['*', '\t', '"', ':', '[', 'ž', '&', '{', '-', '!']
        .into_iter()
        .flat_map(instead)
        .map(|(at, old, c)| format!("{}{c}{}", &text[..at], &text[at + old.len_utf8()..]));
    (0..lines.len()).map(without).chain(cuts).chain(swapped).collect()
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
