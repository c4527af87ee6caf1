//! A plan written out in full, with everything that is implied. Read again, it is the same plan.

use pgkedge_model::{DeclaredStep, Server};
use serde_json::{Map, Value, json};

use crate::capture::{CapturePlan, SetPlan, SlotPlan};
use crate::crossing::CrossingKey;
use crate::pattern::Pattern;
use crate::plan::{GroupPlan, PhasePlan, Plan, Selector};

/// The plan as YAML: every default, every phase and step, and what it takes out of its pipeline.
pub fn expanded_yaml(plan: &Plan) -> String {
    let settings = &plan.settings;
    let mut databases = json!({ "source": plan.databases.get(&Server::Source) });
    if let Some(replica) = plan.databases.get(&Server::Replica) {
        databases["replica"] = json!(replica);
    }
    databases["target"] = json!(plan.databases.get(&Server::Target));
    let mut document = json!({
        "version": 1,
        "name": plan.name,
        "pipeline": plan.pipeline,
        "databases": databases,
        "tables": { "include": texts(&plan.tables.include), "exclude": texts(&plan.tables.exclude) },
        "groups": plan.groups.iter().map(group).collect::<Vec<_>>(),
    });
    add_capture(&mut document, &plan.capture);
    for (field, value) in [
        ("change_capture", json!(settings.change_capture)),
        ("load", json!(settings.load)),
        ("limits", json!(settings.limits)),
        ("verify", json!(settings.verify)),
        ("tables_without_identity", json!(settings.tables_without_identity)),
        ("partitions", json!(settings.partitions)),
        ("large_objects", json!(settings.large_objects)),
        ("unlogged", json!(settings.unlogged)),
        ("cutover", json!(settings.cutover)),
        ("phases", json!(phases(plan))),
    ] {
        document[field] = value;
    }
    if !plan.waive.is_empty() {
        document["waive"] = json!(plan.waive);
    }
    serde_yaml::to_string(&document).expect("a JSON document has only what YAML can write")
}

fn add_capture(document: &mut Value, capture: &CapturePlan) {
    if capture.slots.is_empty() {
        return;
    }
    let slot =
        |slot: &SlotPlan| (slot.name.as_str().to_owned(), json!({ "existing": slot.existing }));
    document["slots"] = Value::Object(capture.slots.iter().map(slot).collect());
    let set = |set: &SetPlan| {
        let mut written = json!({ "slot": set.slot.as_str(), "operations": set.operations });
        if let Some(publication) = &set.publication {
            written["publication"] = json!(publication);
        }
        (set.name.as_str().to_owned(), written)
    };
    document["replication_sets"] = Value::Object(capture.sets.iter().map(set).collect());
    let keys: Vec<&str> = capture.crossing_foreign_keys.iter().map(CrossingKey::as_str).collect();
    if !keys.is_empty() {
        document["crossing_foreign_keys"] = json!(keys);
    }
}

fn texts(patterns: &[Pattern]) -> Vec<&str> {
    patterns.iter().map(Pattern::as_str).collect()
}

fn group(group: &GroupPlan) -> Value {
    let Selector { patterns, having, .. } = &group.tables;
    let tables = if having.is_empty() {
        json!(texts(patterns))
    } else {
        json!({ "having": having, "matching": texts(patterns) })
    };
    let mut written = json!({ "name": group.name.as_str(), "tables": tables });
    if !group.sets.is_empty() {
        written["replication_sets"] = json!(group.sets);
    }
    written
}

fn phases(plan: &Plan) -> Vec<Value> {
    let base = |name: &str| plan.base.iter().find(|phase| phase.name.0 == name);
    let mut written = Vec::new();
    let mut previous: Option<&str> = None;
    for phase in &plan.phases {
        let name = phase.name.0.as_str();
        let mut entry = Map::from_iter([("name".to_owned(), json!(name))]);
        let own = base(name);
        if own.is_none() {
            entry.extend(place(previous, plan.base.first().map(|first| first.name.0.as_str())));
        }
        if phase.on_failure != own.map(|own| own.on_failure).unwrap_or_default() {
            entry.insert("on_failure".to_owned(), json!(phase.on_failure));
        }
        entry.insert("steps".to_owned(), json!(steps(phase, own)));
        written.push(Value::Object(entry));
        previous = Some(name);
    }
    let kept = |name: &str| plan.phases.iter().any(|phase| phase.name.0 == name);
    let removed = plan.base.iter().filter(|phase| !kept(&phase.name.0));
    written.extend(removed.map(|phase| json!({ "name": phase.name, "remove": true })));
    written
}

/// The steps of a phase; those that the pipeline has too are replaced by themselves.
fn steps(phase: &PhasePlan, own: Option<&PhasePlan>) -> Vec<Value> {
    let own = own.map(|own| own.steps.as_slice()).unwrap_or_default();
    let first = own.first().map(|step| step.name.as_str());
    let mut written = Vec::new();
    let mut previous: Option<&str> = None;
    for step in &phase.steps {
        let mut entry = written_step(step);
        if !own.is_empty() && !own.iter().any(|other| other.name == step.name) {
            entry.extend(place(previous, first));
        }
        written.push(Value::Object(entry));
        previous = Some(&step.name);
    }
    let removed = own.iter().filter(|own| !phase.steps.iter().any(|step| step.name == own.name));
    written.extend(removed.map(|step| json!({ "name": step.name, "remove": true })));
    written
}

fn written_step(step: &DeclaredStep) -> Map<String, Value> {
    let mut entry = Map::new();
    entry.insert("name".to_owned(), json!(step.name));
    entry.insert("kind".to_owned(), json!(step.kind));
    if let Some(each) = step.each {
        entry.insert("each".to_owned(), json!(each));
    }
    entry.extend(step.params.as_object().cloned().unwrap_or_default());
    entry
}

/// Where something new goes: behind what is before it, or else before the first.
fn place(previous: Option<&str>, first: Option<&str>) -> Option<(String, Value)> {
    match (previous, first) {
        (Some(previous), _) => Some(("after".to_owned(), json!(previous))),
        (None, Some(first)) => Some(("before".to_owned(), json!(first))),
        (None, None) => None,
    }
}
