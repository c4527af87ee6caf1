//! A pipeline that reads from a replica has one; a replica that nothing reads is a slip.

use pgkedge_model::{DeclaredStep, Finding};
use serde_json::Value;

use super::Text;
use crate::codes;

/// Kinds that work on the replica alone.
const KINDS: [&str; 3] = ["await_replica", "pause_replay", "resume_replay"];
/// Parameters that name the database to read from.
const FIELDS: [&str; 3] = ["from", "against", "on"];

const AT: &str = "/databases/replica";

pub(super) fn check(text: &Text<'_>) -> Vec<Finding> {
    let Some(phases) = text.phases else { return Vec::new() };
    let user = phases.iter().flat_map(|phase| &phase.steps).find(|step| uses_replica(step));
    let Some(step) = user else { return Vec::new() };
    if text.json.pointer("/databases").is_none() || text.json.pointer(AT).is_some() {
        return Vec::new();
    }
    let message = format!(
        "step `{}` of phase `{}` reads from the maintenance replica, which the plan does not name",
        step.name, step.phase
    );
    vec![
        Finding::error(codes::MISSING_REPLICA, message)
            .at_key("/databases", "`replica` is missing here")
            .help("add `replica: { url: { env: REPLICA_URL } }`"),
    ]
}

/// A warning: the replica may be meant for another pipeline.
pub(super) fn unused(text: &Text<'_>) -> Vec<Finding> {
    let Some(phases) = text.phases.filter(|_| text.json.pointer(AT).is_some()) else {
        return Vec::new();
    };
    if phases.iter().flat_map(|phase| &phase.steps).any(uses_replica) {
        return Vec::new();
    }
    vec![
        Finding::warning(codes::UNUSED_REPLICA, "no step of this plan uses the replica")
            .at_key(AT, "not used: all rows are read from the source")
            .help(
                "choose `pipeline: paused-replica` to read from it, or take it out\n\
                 to keep it, add `waive: [{ code: plan::unused_replica, reason: \"…\" }]`",
            ),
    ]
}

fn uses_replica(step: &DeclaredStep) -> bool {
    let names_it = |field: &str| step.params.get(field).and_then(Value::as_str) == Some("replica");
    KINDS.contains(&step.kind.as_str()) || FIELDS.into_iter().any(names_it)
}
