//! What of the source can be read, and what of it a move leaves behind.

use pgkedge_model::{Finding, Server, Table, TableKind};

use super::{Question, listed, object, on};

pub(super) fn findings(question: &Question<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    findings.extend(unreadable_tables(question));
    findings.extend(unreadable_sequences(question));
    findings.extend(row_security(question));
    findings.extend(foreign_tables(question));
    findings.extend(subscriptions(question));
    findings
}

/// Tables whose rows are read.
fn tables<'a>(question: &Question<'a>) -> Vec<&'a Table> {
    let facts = question.facts;
    let has_rows = |table: &&Table| match table.kind {
        TableKind::Ordinary => true,
        TableKind::Partitioned | TableKind::MaterializedView | TableKind::Foreign => false,
    };
    let question = *question;
    let wanted = move |table: &&Table| !question.excludes(&table.name);
    facts.source.tables.iter().filter(has_rows).filter(wanted).collect()
}

fn unreadable_tables(question: &Question<'_>) -> Option<Finding> {
    let unreadable: Vec<&Table> =
        tables(question).into_iter().filter(|table| !table.readable).collect();
    let first = unreadable.first()?;
    let role = &question.facts.source.server.session_role.name;
    let names: Vec<String> = unreadable.iter().map(|table| table.name.to_string()).collect();
    let message = format!("{role} may not read {}", listed(&names));
    Some(
        Finding::error("source::unreadable_tables", message)
            .at(object(Server::Source, &first.name))
            .help(format!(
                "`grant select on {} to {role}`, and `grant usage` on their schemas",
                names.join(", ")
            )),
    )
}

fn unreadable_sequences(question: &Question<'_>) -> Option<Finding> {
    let source = &question.facts.source;
    let unreadable: Vec<String> = source
        .sequences
        .iter()
        .filter(|sequence| !sequence.readable)
        .map(|sequence| sequence.name.to_string())
        .collect();
    let first = unreadable.first()?;
    let role = &source.server.session_role.name;
    let message = format!("{role} may not read {}", listed(&unreadable));
    Some(
        Finding::error("source::unreadable_sequences", message)
            .at(object(Server::Source, first))
            .help(format!("`grant select on sequence {} to {role}`", unreadable.join(", "))),
    )
}

/// Our sessions would fail on these tables rather than read a part of the rows.
fn row_security(question: &Question<'_>) -> Option<Finding> {
    let role = &question.facts.source.server.session_role;
    if role.superuser || role.bypasses_row_security {
        return None;
    }
    let is_hidden = |table: &&Table| {
        let owns = role.member_of.contains(&table.owner);
        table.row_security && (!owns || table.force_row_security)
    };
    let hidden: Vec<&Table> = tables(question).into_iter().filter(is_hidden).collect();
    let first = hidden.first()?;
    let name = &role.name;
    let message = format!(
        "row security may hide rows of {} from {name}",
        listed(hidden.iter().map(|table| &table.name))
    );
    Some(
        Finding::error("source::row_security", message)
            .at(object(Server::Source, &first.name))
            .help(format!("`alter role {name} bypassrls`")),
    )
}

fn foreign_tables(question: &Question<'_>) -> Option<Finding> {
    let tables = question.facts.source.tables.iter();
    let foreign: Vec<_> = tables
        .filter(|table| table.kind == TableKind::Foreign && !question.excludes(&table.name))
        .map(|table| &table.name)
        .collect();
    (!foreign.is_empty()).then(|| {
        let message = format!("rows of foreign tables stay where they are: {}", listed(foreign));
        Finding::note("source::foreign_tables", message)
            .at(on(Server::Source))
            .help("make sure that the target can reach their servers")
    })
}

fn subscriptions(question: &Question<'_>) -> Option<Finding> {
    let subscriptions = &question.facts.source.database.subscriptions;
    (!subscriptions.is_empty()).then(|| {
        let message = format!(
            "the source subscribes to other servers, which is not copied: {}",
            listed(subscriptions)
        );
        Finding::warning("source::subscriptions", message).at(on(Server::Source)).help(
            "they also write to the source: disable them for the move, create them anew after",
        )
    })
}
