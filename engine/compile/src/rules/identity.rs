//! A captured update or delete finds its row by the identity of its table.

use std::collections::BTreeSet;

use pgkedge_model::{
    CatalogIndex, Finding, IdentityKind, Operation, QualifiedName, Table, WithoutIdentity,
};

use super::capture::Captured;
use super::listed;

/// From 18 on the source itself refuses to update a row by a column that is not published.
const REFUSES_SINCE: u32 = 18;

/// Publishing their updates would make the source itself refuse them.
pub(super) fn tables_without_identity(
    captured: &Captured<'_>,
    keyless: &BTreeSet<QualifiedName>,
    findings: &mut Vec<Finding>,
) {
    if keyless.is_empty() {
        return;
    }
    let names = listed(keyless.iter());
    findings.push(match captured.request.settings.tables_without_identity {
        WithoutIdentity::Refuse => Finding::error(
            "compile::table_without_identity",
            format!(
                "updates and deletes of {names} find no row: no usable replica identity (a primary key \
                 that is not deferrable, or one that was chosen); the source would refuse them"
            ),
        )
        .help(
            "add a primary key, or choose a unique index of columns that are not null:\n  \
             alter table … replica identity using index …;\n\
             or say what becomes of such tables: `tables_without_identity: full` makes the whole row \
             their identity, `insert_only` captures no updates and deletes",
        ),
        WithoutIdentity::InsertOnly => Finding::warning(
            "compile::inserts_only",
            format!("only inserts are captured of {names}: they have no usable replica identity"),
        )
        .help("see to it that nobody updates or deletes their rows until the cutover"),
        WithoutIdentity::Full => Finding::note(
            "compile::identity_becomes_full",
            format!(
                "the whole row becomes the replica identity of {names} on the source, until the run is \
                 cleaned up"
            ),
        )
        .help("updates and deletes of theirs write more WAL, and are slow to apply where they are large"),
    });
}

/// A generated column is not published, so that it cannot be what a row is found by.
pub(super) fn generated_identities(
    captured: &Captured<'_>,
    keyless: &BTreeSet<QualifiedName>,
    findings: &mut Vec<Finding>,
) {
    let finding_rows = captured.capture.sets().filter(|set| {
        set.operations.contains(&Operation::Update) || set.operations.contains(&Operation::Delete)
    });
    let published: BTreeSet<&QualifiedName> = finding_rows.flat_map(|set| &set.tables).collect();
    let is_published = |table: &Table| {
        let root = table.partition.as_ref().map(|partition| &partition.root);
        published.contains(&table.name) || root.is_some_and(|root| published.contains(root))
    };
    let refuses = captured.facts.source.server.version.major() >= REFUSES_SINCE;
    let becomes_full = captured.request.settings.tables_without_identity == WithoutIdentity::Full;
    let tables = captured.source.tables.values().copied().filter(|table| is_published(table));
    let names: Vec<&QualifiedName> = tables
        .filter(|table| {
            let full = table.identity.kind == IdentityKind::Full
                || becomes_full && keyless.contains(&table.name);
            if full {
                refuses && table.columns.iter().any(|column| column.generated)
            } else {
                identity_is_generated(table, captured.source)
            }
        })
        .map(|table| &table.name)
        .collect();
    if names.is_empty() {
        return;
    }
    let message = format!(
        "the replica identity of {} has a generated column, which is not published: their updates and \
         deletes find no row",
        listed(names.into_iter())
    );
    findings.push(
        Finding::error("compile::generated_identity", message)
            .help("choose a unique index without generated columns: alter table … replica identity using index …"),
    );
}

fn identity_is_generated(table: &Table, source: &CatalogIndex<'_>) -> bool {
    let generated: Vec<String> = table
        .columns
        .iter()
        .filter(|column| column.generated)
        .map(|column| column.name.to_string())
        .collect();
    if generated.is_empty() || table.identity.kind == IdentityKind::Nothing {
        return false;
    }
    let is_identity = |index: &&&pgkedge_model::Index| {
        index.table_oid == table.oid
            && match &table.identity.index {
                Some(name) => index.name.name == *name,
                None => index.primary,
            }
    };
    let Some(index) = source.indexes.values().find(is_identity) else { return false };
    let columns = index.definition.split_once('(').and_then(|(_, rest)| rest.split(')').next());
    columns.is_some_and(|columns| {
        columns.split(',').any(|column| generated.iter().any(|name| name == column.trim()))
    })
}
