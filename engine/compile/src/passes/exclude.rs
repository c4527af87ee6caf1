//! Which archive entries stay behind with the tables that a plan leaves out.

use std::collections::{BTreeMap, BTreeSet};

use pgkedge_model::{CatalogIndex, Entry, Facts, Finding, Ident, QualifiedName};
use pgkedge_plan::TablePatterns;

use super::Chosen;
use crate::rules;

/// `pg_class` and `pg_constraint`.
const RELATIONS: u32 = 1259;
const CONSTRAINTS: u32 = 2606;

/// Kinds of entries that belong to a table: they stay behind with it.
const BELONGINGS: &[&str] = &[
    "ACL",
    "CHECK CONSTRAINT",
    "COMMENT",
    "CONSTRAINT",
    "DEFAULT",
    "FK CONSTRAINT",
    "INDEX",
    "INDEX ATTACH",
    "POLICY",
    "PUBLICATION TABLE",
    "ROW SECURITY",
    "RULE",
    "SECURITY LABEL",
    "SEQUENCE",
    "SEQUENCE OWNED BY",
    "STATISTICS",
    "TABLE ATTACH",
    "TRIGGER",
];

/// Of those, the ones that join two tables and go with either.
const JOINTS: &[&str] = &["INDEX ATTACH", "TABLE ATTACH", "PUBLICATION TABLE"];

/// Kinds of entries that others belong to.
const OWNERS: &[&str] = &["TABLE", "FOREIGN TABLE", "MATERIALIZED VIEW", "VIEW"];

/// Follows the archive's dependencies from what is left out. What belongs to it is left out as well;
/// anything else that needs it is a finding. Views are left out by the same patterns as tables.
pub(crate) fn exclude(
    tables: &TablePatterns,
    chosen: &Chosen,
    facts: &Facts,
    source: &CatalogIndex<'_>,
    findings: &mut Vec<Finding>,
) -> BTreeSet<u32> {
    let walk = Walk { chosen, source, owners: left_out_owners(tables, chosen, facts, source) };
    let mut left_out: BTreeSet<u32> = walk.owners.keys().copied().collect();
    left_out.extend(sequences_of(chosen, facts, source));
    let dependants = dependants(facts);
    let mut open: Vec<u32> = left_out.iter().copied().collect();
    let mut refused = BTreeSet::new();
    while let Some(needed) = open.pop() {
        for entry in dependants.get(&needed).into_iter().flatten() {
            if left_out.contains(&entry.number) {
                continue;
            }
            if walk.stays_behind(entry) {
                left_out.insert(entry.number);
                open.push(entry.number);
            } else if refused.insert(entry.number) && entry.kind != "FK CONSTRAINT" {
                findings.push(rules::needs_what_is_left_out(entry, source.entries[&needed]));
            }
        }
    }
    left_out
}

struct Walk<'a> {
    chosen: &'a Chosen,
    source: &'a CatalogIndex<'a>,
    /// Entries of tables and views that are left out, with the end of what identifies their belongings.
    owners: BTreeMap<u32, String>,
}

impl Walk<'_> {
    fn stays_behind(&self, entry: &Entry) -> bool {
        let kind = entry.kind.as_str();
        if !BELONGINGS.contains(&kind) {
            return false;
        }
        if JOINTS.contains(&kind) {
            return true;
        }
        if let Some(table) = self.table_of(entry) {
            return !self.chosen.selected.contains(&table);
        }
        let identity = entry.object.as_ref().map_or("", |(_, identity)| identity.as_str());
        let belongs = entry
            .depends
            .iter()
            .any(|number| self.owners.get(number).is_some_and(|suffix| identity.ends_with(suffix)));
        let kept_owner = |number: &u32| {
            let owner = self.source.entries.get(number);
            owner.is_some_and(|owner| OWNERS.contains(&owner.kind.as_str()))
                && !self.owners.contains_key(number)
        };
        belongs || !entry.depends.iter().any(kept_owner)
    }

    /// The table of an index or constraint.
    fn table_of(&self, entry: &Entry) -> Option<u32> {
        match entry.class {
            RELATIONS => self.source.indexes.get(&entry.oid).map(|index| index.table_oid),
            CONSTRAINTS => self.source.constraints.get(&entry.oid).map(|c| c.table_oid),
            _ => None,
        }
    }
}

fn left_out_owners(
    tables: &TablePatterns,
    chosen: &Chosen,
    facts: &Facts,
    source: &CatalogIndex<'_>,
) -> BTreeMap<u32, String> {
    let of_tables = chosen.selection.excluded.iter().filter_map(|name| {
        let table = source.tables_by_name.get(name)?;
        let entry = source.entries_by_object.get(&(RELATIONS, table.oid))?;
        Some((entry.number, format!(" on {name}")))
    });
    let of_views = views(facts)
        .filter(|(_, name)| tables.exclude.iter().any(|pattern| pattern.matches(name)))
        .map(|(entry, name)| (entry.number, format!(" on {name}")));
    of_tables.chain(of_views).collect()
}

/// The views of a database, which only the archive knows.
pub(crate) fn views(facts: &Facts) -> impl Iterator<Item = (&Entry, QualifiedName)> {
    facts.source.entries.iter().filter(|entry| entry.kind == "VIEW").filter_map(|entry| {
        let schema = Ident::new(entry.schema.as_deref()?).ok()?;
        Some((entry, QualifiedName::new(schema, Ident::new(entry.name.as_str()).ok()?)))
    })
}

/// Sequences that a table owns which is left out: the archive need not make them depend on it.
fn sequences_of<'a>(
    chosen: &'a Chosen,
    facts: &'a Facts,
    source: &'a CatalogIndex<'a>,
) -> impl Iterator<Item = u32> + 'a {
    facts.source.sequences.iter().filter_map(|sequence| {
        let (owner, _) = sequence.owned_by.as_ref()?;
        chosen.selection.excluded.binary_search(owner).ok()?;
        Some(source.entries_by_object.get(&(RELATIONS, sequence.oid))?.number)
    })
}

fn dependants(facts: &Facts) -> BTreeMap<u32, Vec<&Entry>> {
    let mut dependants: BTreeMap<u32, Vec<&Entry>> = BTreeMap::new();
    for entry in &facts.source.entries {
        for needed in &entry.depends {
            dependants.entry(*needed).or_default().push(entry);
        }
    }
    dependants
}
