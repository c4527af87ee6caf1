//! Relations that hold or show rows, and their columns.

use std::collections::BTreeMap;

use pgkedge_model::{
    Column, Failure, Ident, IdentityKind, QualifiedName, ReplicaIdentity, Table, TableKind,
};
use serde::Deserialize;

use super::rows::{CONFIGURATION, Reader, relations};

/// Kinds of `pg_class` that become a [`Table`].
pub(crate) const KINDS: &str = "'r', 'p', 'm', 'f'";

/// Every ancestor of a foreign table.
const FOREIGN_PARENTS: &str = "with recursive above (oid) as (
     select i.inhparent from pg_catalog.pg_inherits i
       join pg_catalog.pg_class f on f.oid = i.inhrelid and f.relkind = 'f'
     union
     select i.inhparent from pg_catalog.pg_inherits i join above a on a.oid = i.inhrelid)
   select a.oid from above a";

#[derive(Deserialize)]
struct TableRow {
    oid: u32,
    schema: Ident,
    name: Ident,
    kind: String,
    owner: Ident,
    unlogged: bool,
    pages: u32,
    bytes: u64,
    estimated_rows: Option<u64>,
    filenode: u32,
    row_security: bool,
    force_row_security: bool,
    populated: bool,
    extension_rows: Option<String>,
    readable: bool,
    identity_kind: String,
    identity_index: Option<Ident>,
    identity_usable: bool,
    reaches_foreign: bool,
}

#[derive(Deserialize)]
struct ColumnRow {
    table_oid: u32,
    name: Ident,
    type_oid: u32,
    type_name: String,
    not_null: bool,
    generated: bool,
    nondeterministic: bool,
}

/// All tables, sorted by name; where they hang is filled in by `partitions`.
pub(crate) async fn read(reader: &Reader<'_>) -> Result<Vec<Table>, Failure> {
    let rows: Vec<TableRow> = reader.rows("the tables", &tables_query()).await?;
    let columns: Vec<ColumnRow> = reader.rows("the columns", &columns_query(reader)).await?;
    let mut by_table: BTreeMap<u32, Vec<Column>> = BTreeMap::new();
    for row in columns {
        by_table.entry(row.table_oid).or_default().push(column(row));
    }
    let mut tables: Vec<Table> = rows
        .into_iter()
        .map(|row| {
            let columns = by_table.remove(&row.oid).unwrap_or_default();
            table(row, columns)
        })
        .collect();
    tables.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(tables)
}

fn identity(row: &TableRow) -> ReplicaIdentity {
    let kind = match row.identity_kind.as_str() {
        "n" => IdentityKind::Nothing,
        "f" => IdentityKind::Full,
        "i" => IdentityKind::Index,
        _ => IdentityKind::Default,
    };
    ReplicaIdentity { kind, index: row.identity_index.clone(), usable: row.identity_usable }
}

fn table(row: TableRow, columns: Vec<Column>) -> Table {
    let kind = match row.kind.as_str() {
        "p" => TableKind::Partitioned,
        "m" => TableKind::MaterializedView,
        "f" => TableKind::Foreign,
        _ => TableKind::Ordinary,
    };
    let identity = identity(&row);
    Table {
        oid: row.oid,
        name: QualifiedName::new(row.schema, row.name),
        kind,
        owner: row.owner,
        unlogged: row.unlogged,
        columns,
        partition: None,
        pages: row.pages,
        bytes: row.bytes,
        estimated_rows: row.estimated_rows,
        filenode: row.filenode,
        row_security: row.row_security,
        force_row_security: row.force_row_security,
        populated: row.populated,
        extension_rows: row.extension_rows,
        readable: row.readable,
        identity,
        reaches_foreign: row.reaches_foreign,
    }
}

fn column(row: ColumnRow) -> Column {
    Column {
        name: row.name,
        type_oid: row.type_oid,
        type_name: row.type_name,
        not_null: row.not_null,
        generated: row.generated,
        nondeterministic: row.nondeterministic,
    }
}

fn tables_query() -> String {
    // A table that was never analyzed says -1 rows from 14 on, and 0 rows in 0 pages before.
    let known = "c.reltuples >= 0 and (c.reltuples > 0 or c.relpages > 0)";
    let relations = relations(KINDS);
    format!(
        "select c.oid::int8 as oid, n.nspname as schema, c.relname as name, c.relkind as kind,
           pg_catalog.pg_get_userbyid(c.relowner) as owner, c.relpersistence = 'u' as unlogged,
           s.heap / pg_catalog.current_setting('block_size')::int8 as pages,
           s.heap + coalesce(pg_catalog.pg_relation_size(c.reltoastrelid), 0) as bytes,
           case when {known} then c.reltuples::int8 end as estimated_rows,
           coalesce(pg_catalog.pg_relation_filenode(c.oid)::int8, 0) as filenode,
           c.relrowsecurity as row_security, c.relforcerowsecurity as force_row_security,
           c.relispopulated as populated, g.condition as extension_rows,
           pg_catalog.has_schema_privilege(n.oid, 'usage')
             and (pg_catalog.has_table_privilege(c.oid, 'select')
               or not exists (select from pg_catalog.pg_attribute a
                 where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
                   and not pg_catalog.has_column_privilege(c.oid, a.attnum, 'select'))) as readable,
           c.relreplident as identity_kind, y.name as identity_index,
           c.relreplident = 'f' or y.usable is true as identity_usable,
           c.oid in ({FOREIGN_PARENTS}) as reaches_foreign
         from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
           left join ({CONFIGURATION}) g on g.oid = c.oid
           left join lateral (select case when i.indisreplident then x.relname end as name,
               i.indisvalid and i.indimmediate as usable
             from pg_catalog.pg_index i join pg_catalog.pg_class x on x.oid = i.indexrelid
             where i.indrelid = c.oid and case c.relreplident when 'd' then i.indisprimary
               when 'i' then i.indisreplident else false end) y on true
           cross join lateral (select case when c.relkind in ('r', 'm') then
             coalesce(pg_catalog.pg_relation_size(c.oid), 0) else 0 end as heap) s
         where c.oid in ({relations})"
    )
}

fn columns_query(reader: &Reader<'_>) -> String {
    let generated = reader.since(12, "a.attgenerated <> ''", "false");
    let nondeterministic = reader.since(12, "coalesce(not l.collisdeterministic, false)", "false");
    let relations = relations(KINDS);
    format!(
        "select a.attrelid::int8 as table_oid, a.attname as name, a.atttypid::int8 as type_oid,
           pg_catalog.format_type(a.atttypid, a.atttypmod) as type_name, a.attnotnull as not_null,
           {generated} as generated, {nondeterministic} as nondeterministic
         from pg_catalog.pg_attribute a
           left join pg_catalog.pg_collation l on l.oid = a.attcollation
         where a.attrelid in ({relations}) and a.attnum > 0 and not a.attisdropped
         order by a.attrelid, a.attnum"
    )
}
