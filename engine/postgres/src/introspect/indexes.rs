//! Indexes of the tables.

use pgkedge_model::{Failure, Ident, Index, QualifiedName};
use serde::Deserialize;

use super::rows::{Reader, relations};
use super::tables::KINDS;

#[derive(Deserialize)]
struct IndexRow {
    oid: u32,
    schema: Ident,
    name: Ident,
    table_oid: u32,
    table_schema: Ident,
    table_name: Ident,
    unique: bool,
    primary: bool,
    valid: bool,
    constraint_oid: Option<u32>,
    bytes: u64,
    definition: String,
}

/// All indexes, sorted by name.
pub(crate) async fn read(reader: &Reader<'_>) -> Result<Vec<Index>, Failure> {
    let rows: Vec<IndexRow> = reader.rows("the indexes", &query()).await?;
    let mut indexes: Vec<Index> = rows.into_iter().map(index).collect();
    indexes.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(indexes)
}

fn index(row: IndexRow) -> Index {
    Index {
        oid: row.oid,
        name: QualifiedName::new(row.schema, row.name),
        table_oid: row.table_oid,
        table: QualifiedName::new(row.table_schema, row.table_name),
        unique: row.unique,
        primary: row.primary,
        valid: row.valid,
        constraint_oid: row.constraint_oid,
        bytes: row.bytes,
        definition: row.definition,
    }
}

fn query() -> String {
    let relations = relations(KINDS);
    format!(
        "select x.oid::int8 as oid, xn.nspname as schema, x.relname as name, c.oid::int8 as table_oid,
           cn.nspname as table_schema, c.relname as table_name, i.indisunique as unique,
           i.indisprimary as primary, i.indisvalid as valid, k.oid::int8 as constraint_oid,
           case when x.relkind = 'i' then coalesce(pg_catalog.pg_relation_size(x.oid), 0)
             else 0 end as bytes,
           pg_catalog.pg_get_indexdef(x.oid) as definition
         from pg_catalog.pg_index i
           join pg_catalog.pg_class x on x.oid = i.indexrelid
           join pg_catalog.pg_namespace xn on xn.oid = x.relnamespace
           join pg_catalog.pg_class c on c.oid = i.indrelid
           join pg_catalog.pg_namespace cn on cn.oid = c.relnamespace
           left join pg_catalog.pg_constraint k on k.conindid = x.oid and k.conrelid = c.oid
             and k.contype in ('p', 'u', 'x')
         where c.oid in ({relations})"
    )
}
