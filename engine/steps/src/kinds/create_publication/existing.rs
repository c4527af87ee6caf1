//! A publication that was there before the run: it publishes what its replication set needs, or
//! cannot serve. It is never altered.

use std::collections::BTreeSet;

use pgkedge_model::{
    Failure, Finding, Ident, Operation, QualifiedName, ReplicationSet, Server, Statement,
};
use pgkedge_postgres::{Row, Sql};
use pgkedge_render::Block;
use serde_json::json;

use super::{CreatePublication, PublicationMember, word};
use crate::script;
use crate::step::Step as _;

/// Why a publication cannot serve, and what to do about it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unfit {
    pub(crate) fact: String,
    pub(crate) help: String,
}

/// The query that `unfit` reads the answer of.
pub(super) fn statements(publication: &Ident, major: u32) -> Result<Vec<Statement>, Vec<Finding>> {
    let context = json!({ "existing": publication, "major": major });
    script::alone(Server::Source, CreatePublication::KIND, Block::Run, &context)
}

/// What keeps the publication of a set from serving; none if nothing does, or the run creates it.
pub(crate) async fn asked(sql: &Sql, set: &ReplicationSet) -> Result<Option<Unfit>, Failure> {
    let major = sql.server_version().major();
    let Some(publication) = &set.publication else { return Ok(None) };
    let statements = statements(publication, major).map_err(|findings| {
        let said: Vec<String> = findings.into_iter().map(|finding| finding.message).collect();
        Failure::permanent(said.join("; "))
    })?;
    let text: String = statements.iter().map(Statement::shown).collect();
    Ok(unfit(&super::member(set, major), &sql.rows(&text).await?))
}

/// Columns: four operations, by roots, leaves out rows or columns, schema and name of a table.
pub(super) fn unfit(wanted: &PublicationMember, rows: &[Row]) -> Option<Unfit> {
    let unfit = |fact: String, help: String| Some(Unfit { fact, help });
    let set = &wanted.set;
    let Some(row) = rows.first() else {
        return unfit(
            "there is none of that name".to_owned(),
            format!(
                "create it before the slot, or leave out `publication` of replication set `{set}`, \
                 and pgkedge creates one"
            ),
        );
    };
    let is = |at: usize| row.get(at) == Some("t");
    let each = Operation::ALL.into_iter().enumerate();
    let published: BTreeSet<Operation> =
        each.filter(|(at, _)| is(*at)).map(|(_, operation)| operation).collect();
    if let Some(operation) = wanted.operations.difference(&published).next() {
        let operation = word(*operation);
        return unfit(
            format!("it does not publish {operation}"),
            format!(
                "let another set of the slot carry it, by a publication that does: `operations` of \
                 replication set `{set}`"
            ),
        );
    }
    if is(5) {
        return unfit(
            "it leaves out rows or columns of a table".to_owned(),
            "name one without row filters and lists of columns".to_owned(),
        );
    }
    let tables: BTreeSet<QualifiedName> = rows.iter().filter_map(table).collect();
    let fact = difference(&wanted.tables, &tables)?;
    unfit(fact, mending(wanted, is(4)))
}

/// What is not the same, for people.
pub(super) fn difference(
    wanted: &BTreeSet<QualifiedName>,
    found: &BTreeSet<QualifiedName>,
) -> Option<String> {
    if let Some(table) = wanted.difference(found).next() {
        return Some(format!("it lacks {table}"));
    }
    found.difference(wanted).next().map(|table| format!("it has {table} too"))
}

/// Partitions and their roots are published in one way or the other.
fn mending(wanted: &PublicationMember, by_root: bool) -> String {
    let set = &wanted.set;
    let fit = format!(
        "let the groups of replication set `{set}` have exactly the tables that \
         `select * from pg_publication_tables` shows"
    );
    match (wanted.through_root, by_root) {
        (true, false) => {
            format!("{fit}; it publishes partitions, not their roots: `partitions: leaf`")
        }
        (false, true) => format!("{fit}; it publishes roots of partitions: `partitions: root`"),
        _ => fit,
    }
}

fn table(row: &Row) -> Option<QualifiedName> {
    let ident = |at: usize| Ident::new(row.get(at)?).ok();
    Some(QualifiedName::new(ident(6)?, ident(7)?))
}
