//! What a schema cannot say: one file per rule, each from the text alone.
//!
//! Rules read the JSON document, also where it does not fit its schema, so that everything is found at
//! once. A rule skips only what already has a finding.

mod claimed_pattern;
mod crossing_key;
mod database;
mod duplicate_name;
mod each;
mod from_target;
mod group_slot;
mod hand_off;
mod kind;
mod literal_lsn;
mod literal_password;
mod long_name;
mod nothing_captured;
mod operations;
mod pattern;
mod pipeline;
mod publication;
mod removal;
mod replica;
mod secret_reference;
mod service;
mod size;
mod slot_name;
mod slot_reference;
mod unused_slot;
mod unverified;
mod unverified_cutover;
mod waiver;
mod window;

use pgkedge_model::{Finding, KindSpec, Place};
use serde_json::Value;

use crate::codes;
use crate::plan::PhasePlan;
use crate::pointer::is_within;

/// Warnings of a plan's text that `waive` may name.
pub(crate) const WAIVABLE: [&str; 3] =
    [codes::UNVERIFIED, codes::UNVERIFIED_CUTOVER, codes::UNUSED_REPLICA];

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
    window::check,
];

const OF_PLANS: &[Rule] = &[
    claimed_pattern::check,
    crossing_key::check,
    database::check,
    from_target::check,
    group_slot::check,
    hand_off::check,
    literal_lsn::check,
    nothing_captured::check,
    operations::check,
    pattern::check,
    pipeline::check,
    publication::check,
    removal::check,
    replica::check,
    secret_reference::check,
    size::check,
    slot_name::check,
    slot_reference::check,
    unused_slot::check,
];

pub(crate) fn of_plan(text: &Text<'_>) -> Vec<Finding> {
    let mut findings: Vec<Finding> =
        OF_STEPS.iter().chain(OF_PLANS).flat_map(|rule| rule(text)).collect();
    let warnings = [unverified::check, unverified_cutover::check, replica::unused];
    let warnings = warnings.iter().flat_map(|rule| rule(text)).collect();
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
        ["databases", "source" | "replica" | "target", "url", ..]
        | ["databases", _, "from_target", ..]
        | ["limits", "retained_wal", "budget"] => 3,
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
