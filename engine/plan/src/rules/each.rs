//! A step is repeated for what its kind can be repeated for, and for nothing else.

use pgkedge_model::{Each, Finding, KindSpec};

use super::Text;
use crate::codes;
use crate::nearest::nearest;
use crate::views::{self, StepView};

pub(super) fn check(text: &Text<'_>) -> Vec<Finding> {
    let steps = views::steps(text.json);
    steps.iter().filter_map(|step| finding(step, step.spec(text.kinds)?)).collect()
}

fn finding(step: &StepView<'_>, spec: &KindSpec) -> Option<Finding> {
    let kind = spec.kind;
    let possible: Vec<String> = spec.each.iter().map(|each| name(*each)).collect();
    let name = step.name().unwrap_or(kind);
    if !step.has("each") {
        let first = possible.first().filter(|_| !step.removes())?;
        let message = format!("step `{name}` does not say what `{kind}` is repeated for");
        return Some(
            Finding::error(codes::EACH_MISSING, message)
                .at_value(step.at("kind"), "needs `each`")
                .help(match possible.as_slice() {
                    [_] => format!("add `each: {first}`"),
                    _ => format!("add `each: {first}`; possible: {}", possible.join(", ")),
                }),
        );
    }
    if step.each().is_some_and(|each| spec.each.contains(&each)) {
        return None;
    }
    let given = step.text("each").unwrap_or("this");
    let message = format!("step `{name}`: `{kind}` cannot be repeated for each `{given}`");
    let help = match nearest(given, possible.iter().map(String::as_str)) {
        _ if possible.is_empty() => format!("remove `each`: `{kind}` runs once"),
        Some(nearest) => {
            format!("did you mean `each: {nearest}`? possible: {}", possible.join(", "))
        }
        None => format!("possible: {}", possible.join(", ")),
    };
    Some(
        Finding::error(codes::EACH_NOT_SUPPORTED, message)
            .at_value(step.at("each"), "not possible with this kind")
            .help(help),
    )
}

/// As it is written in YAML.
fn name(each: Each) -> String {
    serde_json::to_value(each)
        .ok()
        .and_then(|name| Some(name.as_str()?.to_owned()))
        .unwrap_or_default()
}
