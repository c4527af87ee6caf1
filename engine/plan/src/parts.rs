//! Parts: phases that several pipelines have in common, and include.

use std::collections::BTreeMap;

use pgkedge_model::Finding;
use serde_json::Value;

use crate::check::{Reader, read_pipeline};
use crate::nearest::suggestion;
use crate::plan::PhasePlan;
use crate::{Pipelines, codes, views};

/// The phases of the parts that a pipeline includes, and what is wrong with them.
pub(crate) fn included(
    pipeline: &Value,
    reader: Reader<'_>,
) -> (BTreeMap<String, Vec<PhasePlan>>, Vec<Finding>) {
    let (mut parts, mut findings) = (BTreeMap::new(), Vec::new());
    for view in views::phases(pipeline) {
        let Some(name) = view.text("include") else { continue };
        let at = view.at("include");
        let Some(text) = reader.pipelines.part(name) else {
            findings.push(unknown(name, at, &reader.pipelines.parts()));
            continue;
        };
        let part = read_pipeline(name, &text, Reader { pipelines: &NoParts, ..reader });
        findings.extend(same_names(pipeline, name, &at, &part.phases));
        let wrong = part.checked.findings.into_iter().filter(Finding::is_error);
        let elsewhere = |wrong| Finding { places: Vec::new(), ..wrong };
        findings.extend(
            wrong.map(|wrong| elsewhere(wrong).at_value(at.clone(), "in the text of this part")),
        );
        parts.insert(name.to_owned(), part.phases);
    }
    (parts, findings)
}

/// Names of phases are unique, also those that come from elsewhere.
fn same_names(pipeline: &Value, part: &str, at: &str, phases: &[PhasePlan]) -> Vec<Finding> {
    let own = views::phases(pipeline);
    let same =
        own.iter().filter(|own| phases.iter().any(|phase| own.name() == Some(&phase.name.0)));
    same.map(|own| {
        let name = own.name().unwrap_or_default();
        let message = format!("phase `{name}` is also one of the part `{part}`");
        Finding::error(codes::DUPLICATE_NAME, message)
            .at_value(own.at("name"), "the second")
            .at_value(at, "the first is in here")
            .help("choose another name")
    })
    .collect()
}

fn unknown(name: &str, at: String, known: &[String]) -> Finding {
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    let help = if known.is_empty() {
        "a part cannot include another: write its phases out".to_owned()
    } else {
        suggestion(name, "parts", &known)
    };
    Finding::error(codes::UNKNOWN_PART, format!("there is no part `{name}`"))
        .at_value(at, "not a shipped part")
        .help(help)
}

/// What a part may include.
struct NoParts;

impl Pipelines for NoParts {
    fn load(&self, _: &str) -> Option<String> {
        None
    }

    fn names(&self) -> Vec<String> {
        Vec::new()
    }

    fn part(&self, _: &str) -> Option<String> {
        None
    }

    fn parts(&self) -> Vec<String> {
        Vec::new()
    }
}
