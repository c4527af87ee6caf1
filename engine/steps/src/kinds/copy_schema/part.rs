//! What an archive entry is, as far as a plan can leave it out.

use std::collections::BTreeSet;

use pgkedge_model::{Entry, Expansion, Object, Table, Touch, UnloggedPolicy};
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
    /// REPLICA`): what they write comes from the source already. Triggers of unlogged tables that are
    /// copied at the cutover are held with them.
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

/// Tells what the entries of the source's archive are parts of.
pub(crate) struct Sorter<'a, 'b> {
    expansion: &'b Expansion<'a>,
    /// Tables whose rows come when everything else is there: they may fire no trigger either.
    late: BTreeSet<String>,
}

impl<'a, 'b> Sorter<'a, 'b> {
    pub(crate) fn new(expansion: &'b Expansion<'a>) -> Self {
        let late = late_tables(expansion).map(|table| table.name.to_string()).collect();
        Self { expansion, late }
    }

    /// Whether a list of parts names an entry: by its part, or by the whole that it is a part of.
    pub(crate) fn is_named(&self, parts: &[SchemaPart], entry: &'a Entry) -> bool {
        let part = self.of(entry);
        parts.contains(&part)
            || (part == SchemaPart::HeldTriggers
                && self.object_of(entry).and_then(whole).is_some_and(|of| parts.contains(&of)))
    }

    /// The part of an entry. Comments and grants go with their object, except those of indexes and
    /// constraints: other steps create these, and the comments come with the rest.
    pub(crate) fn of(&self, entry: &Entry) -> SchemaPart {
        if !is_attached(entry) {
            return self.of_object(entry);
        }
        let parts = self.needs(entry).map(|object| self.of_object(object));
        let has_own_steps = |part: &SchemaPart| {
            matches!(part, SchemaPart::Indexes | SchemaPart::Constraints | SchemaPart::ForeignKeys)
        };
        parts
            .filter(|part| !has_own_steps(part))
            .find(|part| *part != SchemaPart::Others)
            .unwrap_or(SchemaPart::Others)
    }

    /// Rows that are there before a held trigger or rule is, so that it does not fire for them: those
    /// of its table, and of the partitions of that.
    pub(crate) fn rows_before(&self, entry: &Entry) -> Vec<Touch> {
        let held = self.of(entry) == SchemaPart::HeldTriggers;
        let Some(table) = table_of(entry).filter(|_| held) else { return Vec::new() };
        let is_below = |one: &&Table| {
            let root = one.partition.as_ref().map(|partition| &partition.root);
            [Some(&one.name), root].into_iter().flatten().any(|name| name.to_string() == table)
        };
        let tables = self.expansion.facts.source.tables.iter().filter(is_below);
        tables.map(|table| Touch::read(Object::new("data", &table.name))).collect()
    }

    fn needs(&self, entry: &Entry) -> impl Iterator<Item = &'a Entry> {
        let entries = &self.expansion.source.entries;
        entry.depends.iter().filter_map(|number| entries.get(number).copied())
    }

    /// The object that a comment is about; any other entry is about itself.
    fn object_of(&self, entry: &'a Entry) -> Option<&'a Entry> {
        if is_attached(entry) { self.needs(entry).next() } else { Some(entry) }
    }

    fn of_object(&self, entry: &Entry) -> SchemaPart {
        match entry.kind.as_str() {
            "INDEX" | "INDEX ATTACH" => SchemaPart::Indexes,
            "CONSTRAINT" | "CHECK CONSTRAINT" => SchemaPart::Constraints,
            "FK CONSTRAINT" => SchemaPart::ForeignKeys,
            "TRIGGER" | "RULE" if self.is_held(entry) => SchemaPart::HeldTriggers,
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

    /// Whether a trigger or rule fires while changes are applied, or for rows that come late. What
    /// switches a partition's copy of a held trigger is held as well: the copy comes with it.
    fn is_held(&self, entry: &Entry) -> bool {
        let is_late = || table_of(entry).is_some_and(|table| self.late.contains(table));
        entry.statements.iter().any(|sql| is_switch(sql))
            || (entry.kind == "TRIGGER" && is_late())
            || self
                .needs(entry)
                .filter(|need| need.kind == entry.kind)
                .any(|need| self.is_held(need))
    }
}

/// Unlogged tables that are copied when the source is closed.
pub(crate) fn late_tables<'a>(expansion: &Expansion<'a>) -> impl Iterator<Item = &'a Table> {
    let settings = expansion.settings;
    let is_late = !expansion.capture.is_empty() && settings.unlogged == UnloggedPolicy::AtCutover;
    expansion.facts.source.tables.iter().filter(move |table| is_late && table.unlogged)
}

/// The table of a trigger or rule, quoted as SQL needs it.
fn table_of(entry: &Entry) -> Option<&str> {
    let (_, identity) = entry.object.as_ref()?;
    split_once(identity, " on ").map(|(_, table)| table)
}

/// What a held trigger or rule is a part of.
fn whole(entry: &Entry) -> Option<SchemaPart> {
    match entry.kind.as_str() {
        "TRIGGER" => Some(SchemaPart::Triggers),
        "RULE" => Some(SchemaPart::Rules),
        _ => None,
    }
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
