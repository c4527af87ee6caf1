//! What the role would have to be granted, where `pg_dump` was refused.

use pgkedge_model::{Failure, QualifiedName};
use serde::Deserialize;

use super::rows::{Reader, USER_SCHEMA};

/// Tables that the help names; more are counted.
const NAMED: usize = 20;

#[derive(Deserialize)]
struct Row {
    table: QualifiedName,
    schema: String,
    role: String,
    usage: bool,
    readable: bool,
}

/// Adds the missing grants to a failure of `pg_dump`, which names the first table that it cannot
/// lock and no other. The failure stays as it is where it has another cause.
pub(super) async fn explained(reader: &Reader<'_>, mut failure: Failure) -> Failure {
    let is_refused = |detail: &String| detail.contains("permission denied for ");
    if !failure.details.iter().any(is_refused) {
        return failure;
    }
    let found: Vec<Row> = match reader.rows("the missing privileges", &query()).await {
        Ok(found) => found,
        Err(error) => {
            tracing::debug!(%error, "what the role lacks is not known");
            return failure;
        }
    };
    let grants = grants(&found);
    if !grants.is_empty() {
        failure.help = Some(grants.join("\n"));
    }
    failure
}

fn query() -> String {
    format!(
        "select pg_catalog.json_build_object('schema', n.nspname, 'name', c.relname) as table,
           pg_catalog.quote_ident(n.nspname) as schema, pg_catalog.quote_ident(current_user) as role,
           pg_catalog.has_schema_privilege(n.oid, 'usage') as usage,
           pg_catalog.has_table_privilege(c.oid, 'select') as readable
         from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
         where c.relkind in ('r', 'p') and {USER_SCHEMA}
           and not (pg_catalog.has_schema_privilege(n.oid, 'usage')
                    and pg_catalog.has_table_privilege(c.oid, 'select'))
         order by n.nspname, c.relname"
    )
}

/// Statements, one to a line.
fn grants(found: &[Row]) -> Vec<String> {
    let Some(Row { role, .. }) = found.first() else { return Vec::new() };
    let mut schemas: Vec<&str> =
        found.iter().filter(|row| !row.usage).map(|row| row.schema.as_str()).collect();
    schemas.dedup();
    let tables: Vec<String> =
        found.iter().filter(|row| !row.readable).map(|row| row.table.to_string()).collect();
    let mut grants = Vec::new();
    if !schemas.is_empty() {
        grants.push(format!("grant usage on schema {} to {role}", schemas.join(", ")));
    }
    if !tables.is_empty() {
        let more = tables.len().saturating_sub(NAMED);
        let more = if more > 0 { format!(" -- and {more} more") } else { String::new() };
        let named = tables[..tables.len().min(NAMED)].join(", ");
        grants.push(format!("grant select on {named} to {role}{more}"));
    }
    grants.push(format!("or, from 14 on, for all of them: grant pg_read_all_data to {role}"));
    grants
}

#[cfg(test)]
mod tests {
    use pgkedge_model::Ident;

    use super::*;

    fn row(schema: &str, name: &str, usage: bool, readable: bool) -> Row {
        let table =
            QualifiedName { schema: Ident::new(schema).unwrap(), name: Ident::new(name).unwrap() };
        Row { table, schema: schema.to_owned(), role: "reader".to_owned(), usage, readable }
    }

    #[test]
    fn schemas_and_tables_are_granted_by_name() {
        let found =
            [row("a", "T", false, false), row("a", "u", false, true), row("b", "v", true, false)];
        assert_eq!(
            grants(&found),
            [
                "grant usage on schema a to reader",
                "grant select on a.\"T\", b.v to reader",
                "or, from 14 on, for all of them: grant pg_read_all_data to reader",
            ]
        );
        assert!(grants(&[]).is_empty());
    }
}
