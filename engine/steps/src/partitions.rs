//! Leaves of partition trees, for kinds that treat a tree as one thing.

use pgkedge_model::{Expansion, QualifiedName, Table, TableKind};

/// The leaves below a root that move and hold rows, in the order of the catalog.
pub(crate) fn leaves<'a>(
    expansion: &Expansion<'a>,
    root: &QualifiedName,
) -> impl Iterator<Item = &'a Table> {
    let selection = expansion.selection;
    expansion.facts.source.tables.iter().filter(move |table| {
        table.kind == TableKind::Ordinary
            && table.partition.as_ref().is_some_and(|partition| &partition.root == root)
            && selection.excluded.binary_search(&table.name).is_err()
    })
}

/// Whether a leaf is the one that stands for its tree.
pub(crate) fn is_first_leaf(expansion: &Expansion<'_>, table: &Table) -> bool {
    table.partition.as_ref().is_some_and(|partition| {
        leaves(expansion, &partition.root).next().is_some_and(|first| first.oid == table.oid)
    })
}
