//! Archive entries, matched by name and compared by their statements.

use std::collections::{BTreeMap, BTreeSet};

use pgkedge_model::{Catalog, Entry, QualifiedName};

use crate::catalogs::entry_text::text;
use crate::catalogs::{Scope, is_own_publication, is_own_schema, majors_differ};
use crate::difference::{Comparison, Difference};

/// Kinds that are no part of a move, or whose content is compared elsewhere.
const IGNORED: &[&str] = &[
    "BLOB",
    "BLOB METADATA",
    "BLOBS",
    "DATABASE",
    "DATABASE PROPERTIES",
    "ENCODING",
    "MATERIALIZED VIEW DATA",
    "SEARCHPATH",
    "SEQUENCE SET",
    "STDSTRINGS",
    "SUBSCRIPTION",
    "SUBSCRIPTION TABLE",
    "TABLE DATA",
];

/// Kinds whose text a server makes anew from a parsed form, so that major versions differ in it.
const DEPARSED: &[&str] = &[
    "CHECK CONSTRAINT",
    "CONSTRAINT",
    "DEFAULT",
    "DOMAIN",
    "FOREIGN TABLE",
    "FUNCTION",
    "INDEX",
    "MATERIALIZED VIEW",
    "POLICY",
    "PROCEDURE",
    "PUBLICATION",
    "PUBLICATION TABLE",
    "RULE",
    "SEQUENCE",
    "STATISTICS",
    "TABLE",
    "TABLE ATTACH",
    "TRIGGER",
    "VIEW",
];

type Key<'a> = (&'a str, Option<&'a str>, &'a str);

pub(crate) fn compare(
    source: &Catalog,
    target: &Catalog,
    scope: Scope<'_>,
    found: &mut Comparison,
) {
    let mut on_source = by_key(source, scope);
    let mut on_target = by_key(target, scope);
    let before: BTreeSet<(Key<'_>, Vec<String>)> = scope
        .before
        .into_iter()
        .flat_map(|catalog| &catalog.entries)
        .map(|entry| (key(entry), text(entry)))
        .collect();
    let across = majors_differ(source, target);
    let keys: BTreeSet<Key<'_>> = on_source.keys().chain(on_target.keys()).copied().collect();
    for key in keys {
        let ours = on_source.remove(&key).unwrap_or_default();
        let theirs = on_target.remove(&key).unwrap_or_default();
        found.count("entries", ours.len());
        for pair in matched(ours, theirs) {
            compare_pair(pair, scope, across, &before, found);
        }
    }
}

/// Entries of one name, paired across the sides; an entry without a partner stands alone.
#[derive(Clone, Copy)]
struct Pair<'a> {
    source: Option<&'a Entry>,
    target: Option<&'a Entry>,
}

fn compare_pair(
    pair: Pair<'_>,
    scope: Scope<'_>,
    across: bool,
    before: &BTreeSet<(Key<'_>, Vec<String>)>,
    found: &mut Comparison,
) {
    match (pair.source, pair.target) {
        (Some(source), Some(target)) => {
            let (ours, theirs) = (expected(source, scope), expected(target, scope));
            if ours != theirs {
                let explained = across && DEPARSED.contains(&source.kind.as_str());
                let (ours, theirs) = (only_in(&ours, &theirs), only_in(&theirs, &ours));
                let difference = Difference::between(title(source), "definition", ours, theirs);
                found.found(difference, explained);
            }
        }
        (Some(source), None) => {
            let definition = Some(text(source).join("; "));
            found.found(Difference::new(title(source), "the object", definition, None), false);
        }
        (None, Some(target)) => {
            let was_there = before.contains(&(key(target), text(target)));
            let definition = Some(text(target).join("; "));
            found.found(Difference::new(title(target), "the object", None, definition), was_there);
        }
        (None, None) => {}
    }
}

/// The text of an entry, as far as the move is done.
fn expected(entry: &Entry, scope: Scope<'_>) -> Vec<String> {
    let text = text(entry);
    match scope.pending {
        Some(pending) => pending.without_changes(entry, text),
        None => text,
    }
}

/// Pairs by identity where several entries share a name (operators, say), then by text, then by place.
fn matched<'a>(mut source: Vec<&'a Entry>, mut target: Vec<&'a Entry>) -> Vec<Pair<'a>> {
    let mut pairs = Vec::new();
    let same: [fn(&Entry, &Entry) -> bool; 3] = [
        |a, b| a.object.is_some() && a.object == b.object,
        |a, b| text(a) == text(b),
        |a, b| a.object.is_none() || b.object.is_none(),
    ];
    if source.len() == 1 && target.len() == 1 {
        return vec![Pair { source: source.pop(), target: target.pop() }];
    }
    for same in same {
        source.retain(|&ours| {
            let Some(at) = target.iter().position(|theirs| same(ours, theirs)) else { return true };
            pairs.push(Pair { source: Some(ours), target: Some(target.remove(at)) });
            false
        });
    }
    pairs.extend(source.into_iter().map(|entry| Pair { source: Some(entry), target: None }));
    pairs.extend(target.into_iter().map(|entry| Pair { source: None, target: Some(entry) }));
    pairs
}

fn by_key<'a>(catalog: &'a Catalog, scope: Scope<'_>) -> BTreeMap<Key<'a>, Vec<&'a Entry>> {
    let left_out = left_out(catalog, scope);
    let mut entries: BTreeMap<Key<'_>, Vec<&Entry>> = BTreeMap::new();
    for entry in &catalog.entries {
        if IGNORED.contains(&entry.kind.as_str())
            || left_out.contains(&entry.number)
            || is_own(entry)
            || entry.statements.is_empty()
        {
            continue;
        }
        entries.entry(key(entry)).or_default().push(entry);
    }
    entries
}

fn is_own(entry: &Entry) -> bool {
    let name = entry.name.strip_prefix("SCHEMA ").unwrap_or(&entry.name);
    entry.schema.as_deref().is_some_and(is_own_schema)
        || (entry.schema.is_none() && is_own_schema(name))
}

/// Numbers of the entries of excluded tables and of their sequences, of what is not done yet, of our
/// own publications, and of all that needs one of them.
fn left_out(catalog: &Catalog, scope: Scope<'_>) -> BTreeSet<u32> {
    let mut open = of_excluded(catalog, scope.excluded);
    open.extend(scope.pending.into_iter().flat_map(|pending| pending.entries(catalog)));
    let is_publication =
        |entry: &&Entry| entry.kind.starts_with("PUBLICATION") && is_own_publication(&entry.name);
    open.extend(catalog.entries.iter().filter(is_publication).map(|entry| entry.number));
    let mut left_out: BTreeSet<u32> = open.iter().copied().collect();
    let mut dependants: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for entry in &catalog.entries {
        for need in &entry.depends {
            dependants.entry(*need).or_default().push(entry.number);
        }
    }
    while let Some(number) = open.pop() {
        for &dependant in dependants.get(&number).into_iter().flatten() {
            if left_out.insert(dependant) {
                open.push(dependant);
            }
        }
    }
    left_out
}

/// The entries of excluded tables and of their sequences.
fn of_excluded(catalog: &Catalog, excluded: &[QualifiedName]) -> Vec<u32> {
    let is_excluded = |schema: Option<&str>, name: &str| {
        excluded
            .iter()
            .any(|table| Some(table.schema.as_str()) == schema && table.name.as_str() == name)
    };
    let owned: BTreeSet<u32> = catalog
        .sequences
        .iter()
        .filter(|sequence| {
            sequence.owned_by.as_ref().is_some_and(|(table, _)| excluded.contains(table))
        })
        .map(|sequence| sequence.oid)
        .collect();
    catalog
        .entries
        .iter()
        .filter(|entry| match entry.kind.as_str() {
            "TABLE" | "FOREIGN TABLE" | "MATERIALIZED VIEW" => {
                is_excluded(entry.schema.as_deref(), &entry.name)
            }
            "SEQUENCE" => owned.contains(&entry.oid),
            _ => false,
        })
        .map(|entry| entry.number)
        .collect()
}

fn key(entry: &Entry) -> Key<'_> {
    (&entry.kind, entry.schema.as_deref(), &entry.name)
}

/// The lines of `these` that `those` lack; all of them if it is only their order.
fn only_in(these: &[String], those: &[String]) -> String {
    let lines = |statements: &'_ [String]| -> Vec<String> {
        statements.iter().flat_map(|one| one.lines()).map(|line| line.trim().to_owned()).collect()
    };
    let (ours, theirs) = (lines(these), lines(those));
    let only: Vec<&str> =
        ours.iter().filter(|line| !theirs.contains(line)).map(String::as_str).collect();
    let is_order = only.is_empty() && theirs.iter().all(|line| ours.contains(line));
    match (only.is_empty(), is_order) {
        (_, true) => these.join("; "),
        (true, false) => "none".to_owned(),
        (false, false) => only.join(" "),
    }
}

fn title(entry: &Entry) -> String {
    match &entry.schema {
        Some(schema) => format!("{} {schema}.{}", entry.kind, entry.name),
        None => format!("{} {}", entry.kind, entry.name),
    }
}
