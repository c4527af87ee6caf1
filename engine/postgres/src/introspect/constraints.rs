//! Constraints of the tables; those of domains belong to their types.

use pgkedge_model::{Constraint, ConstraintKind, Failure, Ident, QualifiedName};
use serde::Deserialize;

use super::rows::{Reader, relations};
use super::tables::KINDS;

#[derive(Deserialize)]
struct ConstraintRow {
    oid: u32,
    name: Ident,
    table_oid: u32,
    schema: Ident,
    table: Ident,
    kind: String,
    validated: bool,
    references: Option<QualifiedName>,
    definition: String,
}

/// All constraints, sorted by table and name.
pub(crate) async fn read(reader: &Reader<'_>) -> Result<Vec<Constraint>, Failure> {
    let rows: Vec<ConstraintRow> = reader.rows("the constraints", &query()).await?;
    let mut constraints =
        rows.into_iter().map(constraint).collect::<Result<Vec<Constraint>, Failure>>()?;
    constraints.sort_by(|a, b| (&a.table, &a.name, a.oid).cmp(&(&b.table, &b.name, b.oid)));
    Ok(constraints)
}

fn constraint(row: ConstraintRow) -> Result<Constraint, Failure> {
    let table = QualifiedName::new(row.schema, row.table);
    let kind = match row.kind.as_str() {
        "p" => ConstraintKind::PrimaryKey,
        "u" => ConstraintKind::Unique,
        "x" => ConstraintKind::Exclusion,
        "c" => ConstraintKind::Check,
        "f" => ConstraintKind::ForeignKey,
        "n" => ConstraintKind::NotNull,
        "t" => ConstraintKind::Trigger,
        other => {
            return Err(Failure::permanent(format!(
                "constraint {} of {table} is of a kind (`{other}`) that this version does not know",
                row.name
            )));
        }
    };
    Ok(Constraint {
        oid: row.oid,
        name: row.name,
        table_oid: row.table_oid,
        table,
        kind,
        validated: row.validated,
        references: row.references,
        definition: row.definition,
    })
}

fn query() -> String {
    let relations = relations(KINDS);
    format!(
        "select k.oid::int8 as oid, k.conname as name, c.oid::int8 as table_oid, n.nspname as schema,
           c.relname as table, k.contype as kind, k.convalidated as validated,
           case when k.contype = 'f' then
             pg_catalog.json_build_object('schema', fn.nspname, 'name', f.relname) end as references,
           pg_catalog.pg_get_constraintdef(k.oid) as definition
         from pg_catalog.pg_constraint k
           join pg_catalog.pg_class c on c.oid = k.conrelid
           join pg_catalog.pg_namespace n on n.oid = c.relnamespace
           left join pg_catalog.pg_class f on f.oid = k.confrelid
           left join pg_catalog.pg_namespace fn on fn.oid = f.relnamespace
         where k.conrelid in ({relations})"
    )
}
