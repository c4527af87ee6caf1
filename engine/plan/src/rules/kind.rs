//! Every step has a kind that exists.

use pgkedge_model::Finding;

use super::Text;
use crate::nearest::suggestion;
use crate::{codes, views};

pub(super) fn check(text: &Text<'_>) -> Vec<Finding> {
    let known: Vec<&str> = text.kinds.iter().map(|spec| spec.kind).collect();
    views::steps(text.json)
        .iter()
        .filter_map(|step| Some((step, step.kind()?)))
        .filter(|(_, kind)| !known.contains(kind))
        .map(|(step, kind)| {
            Finding::error(codes::UNKNOWN_KIND, format!("there is no step kind `{kind}`"))
                .at_value(step.at("kind"), "not a step kind")
                .help(suggestion(kind, "step kinds", &known))
        })
        .collect()
}
