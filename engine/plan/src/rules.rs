//! What a schema cannot say: one file per rule, each from the text alone.
//!
//! Rules read the JSON document, also where it does not fit its schema, so that everything is found at
//! once. A rule skips only what already has a finding.

mod claimed_pattern;
mod database;
mod duplicate_name;
mod each;
mod kind;
mod literal_password;
mod long_name;
mod pattern;
mod pipeline;
mod removal;
mod secret_reference;
mod service;
mod size;
mod unverified;
mod waiver;

use pgkedge_model::{Finding, KindSpec, Place};
use serde_json::Value;

use crate::plan::PhasePlan;
use crate::pointer::is_within;

pub(crate) use unverified::WAIVABLE;

/// What rules look at.
pub(crate) struct Text<'a> {
    pub(crate) json: &'a Value,
    pub(crate) kinds: &'a [KindSpec],
    /// The phases of the pipeline; none where it is not known.
    pub(crate) base: Option<&'a [PhasePlan]>,
    /// What the plan made of them.
    pub(crate) phases: Option<&'a [PhasePlan]>,
    /// The pipelines that can be named.
    pub(crate) pipelines: &'a [String],
}

type Rule = fn(&Text<'_>) -> Vec<Finding>;

/// Rules about steps: for plans and for pipelines.
const OF_STEPS: &[Rule] = &[
    duplicate_name::check,
    each::check,
    kind::check,
    literal_password::check,
    long_name::check,
    service::check,
];

const OF_PLANS: &[Rule] = &[
    claimed_pattern::check,
    database::check,
    pattern::check,
    pipeline::check,
    removal::check,
    secret_reference::check,
    size::check,
];

pub(crate) fn of_plan(text: &Text<'_>) -> Vec<Finding> {
    let mut findings: Vec<Finding> =
        OF_STEPS.iter().chain(OF_PLANS).flat_map(|rule| rule(text)).collect();
    let warnings = unverified::check(text);
    findings.extend(waiver::apply(text, warnings));
    findings
}

pub(crate) fn of_pipeline(text: &Text<'_>) -> Vec<Finding> {
    OF_STEPS.iter().flat_map(|rule| rule(text)).collect()
}

/// Takes out what the schema says about a value that a rule explains better.
pub(crate) fn leave_to_rules(mismatches: &mut Vec<Finding>, rules: &[Finding]) {
    mismatches.retain(|mismatch| {
        let Some(at) = first_pointer(mismatch) else { return true };
        let Some(explained) = explained_by_rules(at) else { return true };
        !rules.iter().filter_map(first_pointer).any(|pointer| is_within(pointer, &explained))
    });
}

/// The value whose schema findings rules repeat in better words, if a pointer is within one.
fn explained_by_rules(pointer: &str) -> Option<String> {
    let segments: Vec<&str> = pointer.split('/').skip(1).collect();
    let length = match segments.as_slice() {
        ["databases", "source" | "target", "url", ..] => 3,
        ["databases", _] | ["load", "part_size" | "bundle_below"] => 2,
        ["phases", _, "steps", _, "kind" | "each" | "remove", ..] => 5,
        _ => return None,
    };
    Some(format!("/{}", segments[..length].join("/")))
}

fn first_pointer(finding: &Finding) -> Option<&str> {
    match finding.places.first()? {
        Place::Plan(place) => Some(&place.pointer),
        Place::Object { .. } | Place::Server(_) => None,
    }
}
