//! The way from a text to a plan: form, schema, rules, and only then the types.

use std::collections::BTreeMap;

use pgkedge_model::{DatabaseRef, Finding, Ident, KindSpec, Server, Settings};
use serde_json::Value;

use crate::document::{self, Document};
use crate::mismatch::CheckedSchema;
use crate::pattern::Pattern;
use crate::phases;
use crate::plan::{GroupPlan, PhasePlan, Plan, Selector, TablePatterns};
use crate::report::{Checked, Rejection};
use crate::rules::{self, Text};
use crate::source_map::SourceMap;
use crate::written::{Databases, Group, GroupTables, PatternText, PlanDocument, Tables};
use crate::{capture, codes, mismatch, parts, pipeline_schema, plan_schema};

/// A plan's text, and the name that messages give it.
#[derive(Debug, Clone, Copy)]
pub struct PlanSource<'a> {
    pub path: &'a str,
    pub bytes: &'a [u8],
}

/// Finds pipelines: shipped ones by name, others by path.
pub trait Pipelines {
    /// The YAML text of a pipeline.
    fn load(&self, name: &str) -> Option<String>;
    /// The shipped ones, for messages.
    fn names(&self) -> Vec<String>;
    /// The YAML text of a shipped part, written like a pipeline: phases that pipelines include.
    fn part(&self, name: &str) -> Option<String>;
    /// The shipped parts, for messages.
    fn parts(&self) -> Vec<String>;
}

/// Checks everything that can be told from the text alone. What is wrong is reported all at once.
pub fn check(
    source: PlanSource<'_>,
    pipelines: &dyn Pipelines,
    kinds: &[KindSpec],
) -> Result<Plan, Rejection> {
    let Document { map, json, mut findings } = document::read(source.path, source.bytes);
    let Some(json) = json else {
        return Err(Rejection::new(&Checked { map, findings }, None));
    };
    let name = json.get("pipeline").and_then(Value::as_str);
    let pipeline = name
        .filter(|name| !name.is_empty())
        .and_then(|name| Some((name, pipelines.load(name)?)))
        .map(|(name, text)| {
            let schema = &CheckedSchema::new(pipeline_schema(kinds));
            read_pipeline(name, &text, Reader { pipelines, kinds, schema })
        });
    let base = pipeline.as_ref().map(|pipeline| pipeline.phases.as_slice());
    let (merged, of_phases) = base.map(|base| phases::merge(base, &json)).unzip();
    let text =
        Text { json: &json, kinds, base, phases: merged.as_deref(), pipelines: &pipelines.names() };
    let mut of_rules = of_phases.unwrap_or_default();
    of_rules.extend(rules::of_plan(&text));
    findings.extend(mismatches(&json, &CheckedSchema::new(plan_schema(kinds)), &of_rules));
    findings.extend(of_rules);

    let rejected = |findings: &[Finding]| findings.iter().any(Finding::is_error);
    let of_pipeline = pipeline.as_ref().is_some_and(|found| rejected(&found.checked.findings));
    match (pipeline, merged) {
        (Some(pipeline), Some(phases)) if !rejected(&findings) && !of_pipeline => {
            let parts = Parts { base: pipeline.phases, phases, warnings: findings, map };
            plan(source.path, json, parts)
        }
        (pipeline, _) => Err(Rejection::new(
            &Checked { map, findings },
            pipeline.as_ref().map(|pipeline| &pipeline.checked),
        )),
    }
}

/// A pipeline's phases, as far as they can be read, and what is wrong with its text.
pub(crate) struct ReadPipeline {
    pub(crate) checked: Checked,
    pub(crate) phases: Vec<PhasePlan>,
}

/// What pipelines and parts are read with.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'a> {
    pub(crate) pipelines: &'a dyn Pipelines,
    pub(crate) kinds: &'a [KindSpec],
    pub(crate) schema: &'a CheckedSchema,
}

pub(crate) fn read_pipeline(name: &str, text: &str, reader: Reader<'_>) -> ReadPipeline {
    let Document { map, json, mut findings } = document::read(name, text.as_bytes());
    let Some(json) = json else {
        return ReadPipeline { checked: Checked { map, findings }, phases: Vec::new() };
    };
    let (parts, of_parts) = parts::included(&json, reader);
    findings.extend(of_parts);
    let phases = phases::declared(&json, &parts);
    let rules = rules::of_pipeline(&Text {
        json: &json,
        kinds: reader.kinds,
        base: Some(&phases),
        phases: None,
        pipelines: &[],
    });
    findings.extend(mismatches(&json, reader.schema, &rules));
    findings.extend(rules);
    ReadPipeline { checked: Checked { map, findings }, phases }
}

fn mismatches(json: &Value, schema: &CheckedSchema, rules: &[Finding]) -> Vec<Finding> {
    let mut mismatches = mismatch::findings(json, schema);
    rules::leave_to_rules(&mut mismatches, rules);
    mismatches
}

struct Parts {
    base: Vec<PhasePlan>,
    phases: Vec<PhasePlan>,
    warnings: Vec<Finding>,
    map: SourceMap,
}

/// Reads a document that passed all checks into types.
fn plan(path: &str, json: Value, parts: Parts) -> Result<Plan, Rejection> {
    let Parts { base, phases, warnings, map } = parts;
    let document: PlanDocument = match serde_json::from_value(json) {
        Ok(document) => document,
        Err(error) => return Err(beyond_schema(map, &error)),
    };
    let settled = capture::settle(&document, &phases);
    Ok(Plan {
        name: document.name.0,
        path: path.to_owned(),
        pipeline: document.pipeline,
        databases: databases(document.databases),
        tables: tables(document.tables),
        groups: groups(document.groups, settled.groups),
        capture: settled.capture,
        settings: Settings {
            load: document.load,
            limits: document.limits,
            verify: document.verify,
            change_capture: document.change_capture,
            tables_without_identity: document.tables_without_identity,
            partitions: document.partitions,
            large_objects: document.large_objects,
            unlogged: document.unlogged,
            cutover: document.cutover,
        },
        phases,
        waive: document.waive,
        warnings,
        map,
        base,
    })
}

/// A number that a schema takes and a type does not: `8.0` is a whole number to JSON Schema.
fn beyond_schema(map: SourceMap, error: &serde_json::Error) -> Rejection {
    let finding = Finding::error(codes::BAD_VALUE, format!("a value cannot be used: {error}"))
        .at_value("", "somewhere in this file")
        .help("write whole numbers without a decimal point");
    Rejection::new(&Checked { map, findings: vec![finding] }, None)
}

fn databases(databases: Databases) -> BTreeMap<Server, DatabaseRef> {
    let replica = databases.replica.map(|replica| (Server::Replica, replica));
    let others = [(Server::Source, databases.source), (Server::Target, databases.target)];
    others.into_iter().chain(replica).collect()
}

fn tables(tables: Tables) -> TablePatterns {
    let include = patterns(tables.include, "/tables/include");
    TablePatterns {
        include: if include.is_empty() { vec![Pattern::everything()] } else { include },
        exclude: patterns(tables.exclude, "/tables/exclude"),
    }
}

/// `sets` has those of each group, and of the one that is implied where there is none.
fn groups(groups: Vec<Group>, mut sets: Vec<Vec<Ident>>) -> Vec<GroupPlan> {
    if groups.is_empty() {
        let tables = Selector {
            patterns: vec![Pattern::everything()],
            having: Vec::new(),
            having_pointer: None,
        };
        let sets = sets.pop().unwrap_or_default();
        return vec![GroupPlan { name: ident("all"), tables, sets, pointer: None }];
    }
    groups
        .into_iter()
        .zip(sets)
        .enumerate()
        .map(|(n, (group, sets))| {
            let pointer = format!("/groups/{n}");
            let tables = selector(group.tables, &format!("{pointer}/tables"));
            GroupPlan { name: ident(&group.name.0), tables, sets, pointer: Some(pointer) }
        })
        .collect()
}

fn selector(tables: GroupTables, at: &str) -> Selector {
    match tables {
        GroupTables::Patterns(texts) => {
            Selector { patterns: patterns(texts, at), having: Vec::new(), having_pointer: None }
        }
        GroupTables::Having(tables) => {
            let matching = patterns(tables.matching, &format!("{at}/matching"));
            Selector {
                patterns: if matching.is_empty() { vec![Pattern::everything()] } else { matching },
                having: tables.having,
                having_pointer: Some(format!("{at}/having")),
            }
        }
    }
}

fn patterns(texts: Vec<PatternText>, list: &str) -> Vec<Pattern> {
    let parsed = |(n, text): (usize, PatternText)| {
        let pattern = Pattern::parse(&text.0).expect("the rule about patterns parsed it");
        pattern.at(format!("{list}/{n}"))
    };
    texts.into_iter().enumerate().map(parsed).collect()
}

fn ident(name: &str) -> Ident {
    Ident::new(name).expect("the schema and the rule about long names checked it")
}
