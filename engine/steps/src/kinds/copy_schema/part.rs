//! What an archive entry is, as far as a plan can leave it out.

use pgkedge_model::{Entry, Expansion, Object, Table, Touch};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::archive::{find_word, is_attached, split_once};

/// A part of a section.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum SchemaPart {
    /// Indexes and their attachment to partitioned ones.
    Indexes,
    /// Constraints of post-data, foreign keys not among them.
    Constraints,
    ForeignKeys,
    /// Those that fire while changes are applied among them.
    Triggers,
    /// Triggers and rules that fire while changes are applied too (`ENABLE ALWAYS`, `ENABLE
    /// REPLICA`): what they write comes from the source already.
    HeldTriggers,
    EventTriggers,
    /// Those that are held among them.
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

/// Whether a list of parts names an entry: by its part, or by the whole that it is a part of.
pub(crate) fn is_named<'a>(
    parts: &[SchemaPart],
    entry: &'a Entry,
    by_number: &impl Fn(u32) -> Option<&'a Entry>,
) -> bool {
    let part = of(entry, by_number);
    parts.contains(&part)
        || (part == SchemaPart::HeldTriggers
            && object_of(entry, by_number).and_then(whole).is_some_and(|of| parts.contains(&of)))
}

/// The object that a comment is about; any other entry is about itself.
fn object_of<'a>(
    entry: &'a Entry,
    by_number: &impl Fn(u32) -> Option<&'a Entry>,
) -> Option<&'a Entry> {
    if is_attached(entry) {
        return entry.depends.iter().find_map(|number| by_number(*number));
    }
    Some(entry)
}

/// What a held trigger or rule is a part of.
fn whole(entry: &Entry) -> Option<SchemaPart> {
    match entry.kind.as_str() {
        "TRIGGER" => Some(SchemaPart::Triggers),
        "RULE" => Some(SchemaPart::Rules),
        _ => None,
    }
}

/// The part of an entry. Comments and grants go with their object, except those of indexes and
/// constraints: other steps create these, and the comments come with the rest.
pub(crate) fn of<'a>(
    entry: &'a Entry,
    by_number: &impl Fn(u32) -> Option<&'a Entry>,
) -> SchemaPart {
    if !is_attached(entry) {
        return of_object(entry, by_number);
    }
    let objects = entry.depends.iter().filter_map(|number| by_number(*number));
    let parts = objects.map(|object| of_object(object, by_number));
    let has_own_steps = |part: &SchemaPart| {
        matches!(part, SchemaPart::Indexes | SchemaPart::Constraints | SchemaPart::ForeignKeys)
    };
    parts
        .filter(|part| !has_own_steps(part))
        .find(|part| *part != SchemaPart::Others)
        .unwrap_or(SchemaPart::Others)
}

fn of_object<'a>(entry: &'a Entry, by_number: &impl Fn(u32) -> Option<&'a Entry>) -> SchemaPart {
    match entry.kind.as_str() {
        "INDEX" | "INDEX ATTACH" => SchemaPart::Indexes,
        "CONSTRAINT" | "CHECK CONSTRAINT" => SchemaPart::Constraints,
        "FK CONSTRAINT" => SchemaPart::ForeignKeys,
        "TRIGGER" | "RULE" if is_held(entry, by_number) => SchemaPart::HeldTriggers,
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

/// Whether a trigger or rule fires while changes are applied. What switches a partition's copy of a
/// held trigger is held as well: the copy comes with it.
fn is_held<'a>(entry: &'a Entry, by_number: &impl Fn(u32) -> Option<&'a Entry>) -> bool {
    let same_kind = |need: &&Entry| need.kind == entry.kind;
    entry.statements.iter().any(|sql| is_switch(sql))
        || entry
            .depends
            .iter()
            .filter_map(|number| by_number(*number))
            .filter(same_kind)
            .any(|need| is_held(need, by_number))
}

/// Rows that are there before a held trigger or rule is, so that it does not fire for them: those of
/// its table, and of the partitions of that.
pub(crate) fn rows_before(entry: &Entry, expansion: &Expansion<'_>) -> Vec<Touch> {
    let by_number = |number: u32| expansion.source.entries.get(&number).copied();
    let held = of(entry, &by_number) == SchemaPart::HeldTriggers;
    let identity = entry.object.as_ref().filter(|_| held).map(|(_, identity)| identity.as_str());
    let Some((_, table)) = identity.and_then(|of| split_once(of, " on ")) else {
        return Vec::new();
    };
    let is_below = |one: &&Table| {
        let root = one.partition.as_ref().map(|partition| &partition.root);
        [Some(&one.name), root].into_iter().flatten().any(|name| name.to_string() == table)
    };
    let tables = expansion.facts.source.tables.iter().filter(is_below);
    tables.map(|table| Touch::read(Object::new("data", &table.name))).collect()
}

/// What makes a trigger or rule fire while changes are applied.
const SWITCHES: &[&str] = &[
    " ENABLE ALWAYS TRIGGER ",
    " ENABLE REPLICA TRIGGER ",
    " ENABLE ALWAYS RULE ",
    " ENABLE REPLICA RULE ",
];

fn is_switch(sql: &str) -> bool {
    sql.starts_with("ALTER TABLE ") && SWITCHES.iter().any(|word| find_word(sql, word).is_some())
}

/// What makes a partition's copy of a trigger fire as its parent's does; none for other entries.
pub(crate) fn switched_back(entry: &Entry) -> Option<String> {
    let [sql] = entry.statements.as_slice() else { return None };
    if entry.kind != "TRIGGER" || !is_switch(sql) {
        return None;
    }
    let word = SWITCHES.iter().find(|word| find_word(sql, word).is_some())?;
    let (table, trigger) = split_once(sql, word)?;
    Some(format!("{table} ENABLE TRIGGER {trigger}"))
}
