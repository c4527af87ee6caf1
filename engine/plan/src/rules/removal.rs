//! What is removed is not changed as well.

use pgkedge_model::Finding;

use super::Text;
use crate::codes;
use crate::views::{self, STEP_FIELDS};

pub(super) fn check(text: &Text<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for phase in views::phases(text.json) {
        if phase.removes() && phase.has("steps") {
            findings.push(finding(
                "phase",
                phase.name(),
                phase.at("remove"),
                phase.at("steps"),
                "steps",
            ));
        }
        for step in phase.steps().iter().filter(|step| step.removes()) {
            let other = STEP_FIELDS.into_iter().filter(|field| !["name", "remove"].contains(field));
            let own = step.params();
            let own = own.as_object().and_then(|own| own.keys().next().map(String::as_str));
            if let Some(field) = other.into_iter().find(|field| step.has(field)).or(own) {
                let (remove, at) = (step.at("remove"), step.at(field));
                findings.push(finding("step", step.name(), remove, at, field));
            }
        }
    }
    findings
}

fn finding(what: &str, name: Option<&str>, remove: String, at: String, field: &str) -> Finding {
    let message = format!("{what} `{}` is removed and given `{field}`", name.unwrap_or("?"));
    Finding::error(codes::REMOVED_AND_CHANGED, message)
        .at_key(remove, "goes away here")
        .at_key(at, "and is changed here")
        .help(format!(
            "to replace a step, leave `remove` out; to take the {what} away, leave all but `name` and `remove` out"
        ))
}
