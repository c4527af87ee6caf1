//! What a declared step is repeated for.

use pgkedge_model::{Each, Entry, Item, Section, Table, TableKind, UnloggedPolicy};

use crate::compile::Scene;
use crate::passes::split::holds_rows;

/// The items of a step, in the order of the catalog or the archive.
pub(crate) fn items<'a>(each: Option<Each>, scene: &Scene<'a>) -> Vec<Item<'a>> {
    match each {
        None => vec![Item::Once],
        Some(Each::Table) => tables(scene),
        Some(Each::Part) => parts(scene, |table| !(table.unlogged && scene.unlogged_apart)),
        Some(Each::Index) => entries(scene, &["INDEX", "INDEX ATTACH"]),
        Some(Each::Constraint) => entries(scene, &["CONSTRAINT", "CHECK CONSTRAINT"]),
        Some(Each::ForeignKey) => entries(scene, &["FK CONSTRAINT"]),
        Some(Each::Sequence) => sequences(scene),
        Some(Each::MaterializedView) => materialized_views(scene),
        Some(Each::Slot) => scene.capture.slots.iter().map(Item::Slot).collect(),
        Some(Each::ReplicationSet) => scene.capture.sets().map(Item::ReplicationSet).collect(),
        Some(Each::UnloggedPart) => match scene.settings.unlogged {
            UnloggedPolicy::AtCutover => parts(scene, |table| table.unlogged),
            UnloggedPolicy::SchemaOnly => Vec::new(),
        },
    }
}

fn tables<'a>(scene: &Scene<'a>) -> Vec<Item<'a>> {
    let tables = scene.facts.source.tables.iter();
    tables
        .filter(|table| scene.selected.contains(&table.oid) && holds_rows(table))
        .map(Item::Table)
        .collect()
}

fn parts<'a>(scene: &Scene<'a>, wanted: impl Fn(&Table) -> bool) -> Vec<Item<'a>> {
    let of_table = |table: &'a Table| {
        let parts = scene.parts.get(&table.oid).into_iter().flatten();
        parts.map(move |part| Item::Part(table, part))
    };
    scene.facts.source.tables.iter().filter(|table| wanted(table)).flat_map(of_table).collect()
}

fn entries<'a>(scene: &Scene<'a>, kinds: &[&str]) -> Vec<Item<'a>> {
    let moves = |entry: &&Entry| {
        entry.section == Section::PostData
            && kinds.contains(&entry.kind.as_str())
            && !scene.excluded.contains(&entry.number)
    };
    scene.facts.source.entries.iter().filter(moves).map(Item::Entry).collect()
}

fn sequences<'a>(scene: &Scene<'a>) -> Vec<Item<'a>> {
    let moves = |sequence: &&pgkedge_model::Sequence| match &sequence.owned_by {
        Some((owner, _)) => scene.selection.excluded.binary_search(owner).is_err(),
        None => true,
    };
    scene.facts.source.sequences.iter().filter(moves).map(Item::Sequence).collect()
}

/// In the order of the archive, which puts a view after those that it reads.
fn materialized_views<'a>(scene: &Scene<'a>) -> Vec<Item<'a>> {
    let in_archive = scene.facts.source.entries.iter();
    in_archive
        .filter(|entry| entry.kind == "MATERIALIZED VIEW")
        .filter_map(|entry| scene.source.tables.get(&entry.oid))
        .filter(|table| table.kind == TableKind::MaterializedView && table.populated)
        .filter(|table| scene.selected.contains(&table.oid))
        .map(|table| Item::Table(table))
        .collect()
}
