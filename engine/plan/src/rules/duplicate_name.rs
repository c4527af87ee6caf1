//! Names of phases, of a phase's steps and of groups are unique: they name things in messages, in the
//! journal and on the command line.

use std::collections::BTreeMap;

use pgkedge_model::Finding;
use serde_json::Value;

use super::Text;
use crate::{codes, pointer, views};

pub(super) fn check(text: &Text<'_>) -> Vec<Finding> {
    let phases = views::phases(text.json);
    let named = phases.iter().filter_map(|phase| Some((phase.at("name"), phase.name()?)));
    let mut findings = repeated("phase", "put the steps of both under one entry", named);
    let groups = views::objects(text.json, "/groups");
    let named = groups.filter_map(|(at, group)| {
        Some((pointer::child(&at, "name"), group.get("name").and_then(Value::as_str)?))
    });
    findings.extend(repeated(
        "group",
        "choose another name, or list the tables of both in one",
        named,
    ));
    for phase in &phases {
        let steps = phase.steps();
        let named = steps.iter().filter_map(|step| Some((step.at("name"), step.name()?)));
        findings.extend(repeated("step", "choose another name for one of the two", named));
    }
    findings
}

fn repeated<'a>(
    what: &str,
    help: &str,
    named: impl Iterator<Item = (String, &'a str)>,
) -> Vec<Finding> {
    let mut first: BTreeMap<&str, String> = BTreeMap::new();
    let mut findings = Vec::new();
    for (at, name) in named {
        match first.get(name) {
            None => drop(first.insert(name, at)),
            Some(earlier) => findings.push(
                Finding::error(codes::DUPLICATE_NAME, format!("two {what}s are named `{name}`"))
                    .at_value(at, "the second")
                    .at_value(earlier.clone(), "the first")
                    .help(help),
            ),
        }
    }
    findings
}
