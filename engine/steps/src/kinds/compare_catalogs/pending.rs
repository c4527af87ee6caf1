//! What a captured move has not done yet, or has done for itself, settled when it is compiled.

use pgkedge_model::{
    Constraint, ConstraintKind, CutoverVerify, Expansion, QualifiedName, Table, TableKind,
    VerifyMethod, WithoutIdentity,
};
use pgkedge_verify::{ForeignKey, Pending};

use super::{Values, Without};
use crate::kinds::copy_schema::late_tables;
use crate::kinds::create_foreign_key::crosses;
use crate::reading;

/// From 14 on tables are split into ranges of pages.
const SPLIT_SINCE: u32 = 14;
const USUAL_BLOCK: u64 = 8_192;

/// What the target has not got yet, and what it will not have.
pub(super) fn pending(without: &[Without], expansion: &Expansion<'_>) -> Pending {
    let lacks = |what| without.contains(&what);
    let is_captured = !expansion.capture.is_empty();
    let crossing = crossing_keys(expansion);
    let lacks_keys = lacks(Without::CrossingForeignKeys);
    Pending {
        held_triggers: lacks(Without::HeldTriggers),
        late_tables: late_tables(expansion).map(|table| table.name.clone()).collect(),
        event_triggers: lacks(Without::EventTriggers),
        publications: lacks(Without::Publications),
        capturing: expansion.capture.sets().filter_map(|set| set.publication.clone()).collect(),
        foreign_keys: if lacks_keys { crossing.clone() } else { Vec::new() },
        // They are validated when the target is open.
        unvalidated: crossing,
        identities: identities(expansion),
        // The two fences change them, and they are copied when the target is open.
        database: is_captured || lacks(Without::DatabaseSettings),
        views: is_captured && lacks_objects(without),
    }
}

/// Which values can be expected to be there.
pub(super) fn values(without: &[Without], expansion: &Expansion<'_>) -> Values {
    if without.contains(&Without::Values) {
        return Values::Nothing;
    }
    if expansion.capture.is_empty() {
        return Values::All;
    }
    if lacks_objects(without) {
        return Values::Nothing;
    }
    match expansion.settings.cutover.verify {
        CutoverVerify::Full => Values::Final(Some(VerifyMethod::Digest)),
        CutoverVerify::Counts | CutoverVerify::None => Values::Final(None),
    }
}

fn lacks_objects(without: &[Without]) -> bool {
    let is_object = |what: &Without| !matches!(what, Without::DatabaseSettings | Without::Values);
    without.iter().any(is_object)
}

/// Foreign keys that come after the drain.
fn crossing_keys(expansion: &Expansion<'_>) -> Vec<ForeignKey> {
    let is_crossing =
        |key: &&Constraint| key.kind == ConstraintKind::ForeignKey && crosses(expansion, key);
    let keys = expansion.facts.source.constraints.iter().filter(is_crossing);
    keys.map(|key| ForeignKey { table: key.table.clone(), name: key.name.clone() }).collect()
}

/// Tables that are given the whole row as their identity for as long as they are captured.
pub(super) fn identities(expansion: &Expansion<'_>) -> Vec<QualifiedName> {
    if expansion.capture.is_empty()
        || expansion.settings.tables_without_identity != WithoutIdentity::Full
    {
        return Vec::new();
    }
    let is_changed = |table: &&Table| {
        !table.identity.usable && reading::slot_of(expansion, &table.name).is_some()
    };
    let tables = expansion.facts.source.tables.iter().filter(is_changed);
    tables.map(|table| table.name.clone()).collect()
}

/// Tables that are copied in ranges of pages from a source that may write them anew.
pub(super) fn split(expansion: &Expansion<'_>) -> Vec<QualifiedName> {
    let server = &expansion.facts.source.server;
    if expansion.facts.replica.is_some() || server.version.major() < SPLIT_SINCE {
        return Vec::new();
    }
    let block = server.settings.get("block_size").and_then(|size| size.parse().ok());
    let block = block.unwrap_or(USUAL_BLOCK);
    let part_size = expansion.settings.load.part_size.0;
    let is_split = |table: &&Table| {
        let bytes = (u64::from(table.pages) * block).max(table.bytes);
        table.kind == TableKind::Ordinary
            && table.pages > 1
            && table.extension_rows.is_none()
            && bytes > part_size
    };
    let tables = expansion.facts.source.tables.iter().filter(is_split);
    tables.map(|table| table.name.clone()).collect()
}
