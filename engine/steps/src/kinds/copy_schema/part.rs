//! What an archive entry is, as far as a plan can leave it out.

use pgkedge_model::Entry;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::archive::is_attached;

/// A part of a section.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum SchemaPart {
    /// Indexes and their attachment to partitioned ones.
    Indexes,
    /// Constraints of post-data, foreign keys not among them.
    Constraints,
    ForeignKeys,
    Triggers,
    EventTriggers,
    Rules,
    /// Policies and the switch of row security.
    Policies,
    Publications,
    /// Extended statistics.
    Statistics,
    /// Never created: a subscription would start to replicate.
    #[serde(skip)]
    Subscriptions,
    /// Everything else.
    Others,
}

/// The part of an entry. Comments and grants go with their object, except those of indexes and
/// constraints: other steps create these, and the comments come with the rest.
pub(crate) fn of<'a>(
    entry: &'a Entry,
    by_number: &impl Fn(u32) -> Option<&'a Entry>,
) -> SchemaPart {
    if !is_attached(entry) {
        return of_object(entry);
    }
    let parts = entry.depends.iter().filter_map(|number| by_number(*number)).map(of_object);
    let has_own_steps = |part: &SchemaPart| {
        matches!(part, SchemaPart::Indexes | SchemaPart::Constraints | SchemaPart::ForeignKeys)
    };
    parts
        .filter(|part| !has_own_steps(part))
        .find(|part| *part != SchemaPart::Others)
        .unwrap_or(SchemaPart::Others)
}

fn of_object(entry: &Entry) -> SchemaPart {
    match entry.kind.as_str() {
        "INDEX" | "INDEX ATTACH" => SchemaPart::Indexes,
        "CONSTRAINT" | "CHECK CONSTRAINT" => SchemaPart::Constraints,
        "FK CONSTRAINT" => SchemaPart::ForeignKeys,
        "TRIGGER" => SchemaPart::Triggers,
        "EVENT TRIGGER" => SchemaPart::EventTriggers,
        "RULE" => SchemaPart::Rules,
        "POLICY" | "ROW SECURITY" => SchemaPart::Policies,
        "PUBLICATION" | "PUBLICATION TABLE" | "PUBLICATION TABLES IN SCHEMA" => {
            SchemaPart::Publications
        }
        "STATISTICS" => SchemaPart::Statistics,
        "SUBSCRIPTION" | "SUBSCRIPTION TABLE" => SchemaPart::Subscriptions,
        _ => SchemaPart::Others,
    }
}
