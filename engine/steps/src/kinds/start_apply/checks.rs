//! What PostgreSQL does not check when a subscription is created.

use std::collections::BTreeSet;

use pgkedge_model::{
    Failure, FailureClass, Ident, Lsn, QualifiedName, ReplicationSet, Server, Slot, quote_literal,
};
use pgkedge_postgres::Sql;

use super::privileges;
use crate::context::StepContext;
use crate::slots::publication_name;
use crate::streams::{Stream, literals, slot_lost, source_seen};

/// Names in a message, at most.
const NAMED: usize = 10;

/// The slot is there, of the right kind, and not past the position; so are its publications.
pub(super) async fn source(
    context: &StepContext,
    slot: &Slot,
    position: Lsn,
) -> Result<(), Failure> {
    let session = context.read(Server::Source).await?;
    let name = Stream::from(slot).slot_name(context.tag());
    let seen = source_seen(&session, std::slice::from_ref(&name)).await?;
    let found = seen.slots.get(&name).filter(|found| !found.is_lost());
    let found = found.ok_or_else(|| slot_lost(&name))?;
    if found.plugin.as_deref() != Some("pgoutput") || !found.here {
        let plugin = found.plugin.as_deref().unwrap_or("none");
        let message =
            format!("slot `{name}` is of another database, or its plugin ({plugin}) is not");
        return Err(Failure::permanent(format!("{message} pgoutput"))
            .help("name another slot in the plan, or let pgkedge create one"));
    }
    if found.confirmed.is_none_or(|confirmed| confirmed > position) {
        let at = found.confirmed.map_or_else(String::new, |lsn| lsn.to_string());
        return Err(Failure::permanent(format!(
            "slot `{name}` stands at {at}, past {position}: the changes between are gone"
        ))
        .help("take the run back with `pgkedge abort`, and run again"));
    }
    for set in &slot.sets {
        publication(&session, context, set).await?;
    }
    Ok(())
}

/// A publication holds exactly the tables that the plan says.
async fn publication(
    session: &Sql,
    context: &StepContext,
    set: &ReplicationSet,
) -> Result<(), Failure> {
    let name = publication_name(set, context.tag());
    let rows = session
        .rows(&format!(
            "select t.schemaname, t.tablename from pg_catalog.pg_publication p \
             left join pg_catalog.pg_publication_tables t on t.pubname = p.pubname \
             where p.pubname = {}",
            quote_literal(&name)
        ))
        .await?;
    let again = "take the run back with `pgkedge abort`, and run again";
    if rows.is_empty() {
        return Err(
            Failure::permanent(format!("the source has no publication `{name}`")).help(again)
        );
    }
    let published: BTreeSet<QualifiedName> =
        rows.iter().filter_map(|row| qualified(row.get(0)?, row.get(1)?)).collect();
    let wanted: BTreeSet<QualifiedName> = set.tables.iter().cloned().collect();
    let differing: Vec<&QualifiedName> = published.symmetric_difference(&wanted).collect();
    if differing.is_empty() {
        return Ok(());
    }
    let message = format!("publication `{name}` of the source has other tables than the plan says");
    Err(Failure::permanent(message).detail(listed("differing", &differing)).help(again))
}

/// Every published table is on the target, with the columns that changes carry.
pub(super) async fn target(context: &StepContext, slot: &Slot) -> Result<(), Failure> {
    let tables: BTreeSet<&QualifiedName> = slot.sets.iter().flat_map(|set| &set.tables).collect();
    let tables: Vec<&QualifiedName> = tables.into_iter().collect();
    let wanted = columns(&*context.read(Server::Source).await?, &tables).await?;
    let there = columns(&*context.read(Server::Target).await?, &tables).await?;
    let missing: Vec<&String> = wanted.difference(&there).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let message = format!("the target lacks {} that changes would go to", count(missing.len()));
    Err(Failure::new(FailureClass::Operator, message)
        .detail(listed("missing", &missing))
        .help("create them on the target as they are on the source, then `pgkedge resume`"))
}

fn count(missing: usize) -> String {
    if missing == 1 {
        "a table or column".to_owned()
    } else {
        format!("{missing} tables or columns")
    }
}

/// The tables of these names, and their columns that are not generated, as SQL.
async fn columns(session: &Sql, tables: &[&QualifiedName]) -> Result<BTreeSet<String>, Failure> {
    let mut found = BTreeSet::new();
    let generated =
        if session.server_version().major() >= 12 { "and a.attgenerated = ''" } else { "" };
    for tables in tables.chunks(500) {
        let pair = |table: &&QualifiedName| {
            let (schema, name) = (table.schema.as_str(), table.name.as_str());
            format!("({}, {})", quote_literal(schema), quote_literal(name))
        };
        let pairs: Vec<String> = tables.iter().map(pair).collect();
        let rows = session
            .rows(&format!(
                "select n.nspname, c.relname, a.attname from pg_catalog.pg_class c \
                 join pg_catalog.pg_namespace n on n.oid = c.relnamespace \
                 left join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attnum > 0 \
                 and not a.attisdropped {generated} \
                 where c.relkind in ('r', 'p') and (n.nspname, c.relname) in ({})",
                pairs.join(", ")
            ))
            .await?;
        for row in &rows {
            let table = row.get(0).zip(row.get(1)).and_then(|(s, n)| qualified(s, n));
            let Some(table) = table else { continue };
            let column = row.get(2).and_then(|column| Ident::new(column).ok());
            found.extend(column.map(|column| format!("{table}.{column}")));
            found.insert(table.to_string());
        }
    }
    Ok(found)
}

fn qualified(schema: &str, name: &str) -> Option<QualifiedName> {
    Some(QualifiedName::new(Ident::new(schema).ok()?, Ident::new(name).ok()?))
}

fn listed(what: &str, names: &[impl ToString]) -> String {
    let shown: Vec<String> = names.iter().take(NAMED).map(ToString::to_string).collect();
    let more = names.len().saturating_sub(NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{what}: {}{more}", shown.join(", "))
}

/// A role that is no superuser may subscribe from 16 on, with a password that the source asks for.
pub(super) async fn role(context: &StepContext, has_password: bool) -> Result<(), Failure> {
    let session = context.read(Server::Target).await?;
    let rows = session
        .rows("select r.rolsuper from pg_catalog.pg_roles r where r.rolname = current_user")
        .await?;
    if rows.first().and_then(|row| row.get(0)) == Some("t") {
        return Ok(());
    }
    let refused = |message: &str| Failure::new(FailureClass::Operator, message);
    if session.server_version().major() < 16 {
        let message = "the target's role may not create subscriptions: it is no superuser";
        return Err(refused(message).help(privileges(context)));
    }
    if !has_password {
        let message = "the target lets a role that is no superuser subscribe with a password only, \
                       and none is known for the source";
        return Err(refused(message)
            .help("give `databases.source.from_target.url` a role that logs in by password"));
    }
    Ok(())
}

/// What is applied already is never before the position: the worker may be at work by now.
pub(super) async fn origin(
    context: &StepContext,
    slot: &Slot,
    position: Lsn,
) -> Result<(), Failure> {
    let name = Stream::from(slot).subscription(context.tag());
    let session = context.read(Server::Target).await?;
    let rows = session
        .rows(&format!(
            "select s.remote_lsn from pg_catalog.pg_subscription u \
             join pg_catalog.pg_replication_origin_status s on s.external_id = 'pg_' || u.oid \
             where u.subname in ({})",
            literals(std::slice::from_ref(&name))
        ))
        .await;
    let rows = match rows {
        // A role that may advance an origin may not be let to read where it stands.
        Err(failure) if failure.sqlstate.as_deref() == Some("42501") => return Ok(()),
        rows => rows?,
    };
    let at: Option<Lsn> = rows.first().and_then(|row| row.get(0)).and_then(|at| at.parse().ok());
    if at.is_some_and(|at| at >= position) {
        return Ok(());
    }
    let at = at.map_or_else(|| "nowhere".to_owned(), |at| at.to_string());
    Err(Failure::permanent(format!(
        "subscription `{name}` of the target stands at {at}, not at {position}"
    ))
    .help("take the run back with `pgkedge abort`, and run again"))
}
