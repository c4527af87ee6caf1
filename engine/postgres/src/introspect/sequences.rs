//! Sequences, those of identity columns among them.

use pgkedge_model::{Failure, Ident, QualifiedName, Sequence};
use serde::Deserialize;

use super::rows::{Reader, relations};

#[derive(Deserialize)]
struct SequenceRow {
    oid: u32,
    schema: Ident,
    name: Ident,
    type_name: String,
    owned_by: Option<(QualifiedName, Ident)>,
    readable: bool,
}

/// All sequences, sorted by name.
pub(crate) async fn read(reader: &Reader<'_>) -> Result<Vec<Sequence>, Failure> {
    let rows: Vec<SequenceRow> = reader.rows("the sequences", &query()).await?;
    let mut sequences: Vec<Sequence> = rows
        .into_iter()
        .map(|row| Sequence {
            oid: row.oid,
            name: QualifiedName::new(row.schema, row.name),
            type_name: row.type_name,
            owned_by: row.owned_by,
            readable: row.readable,
        })
        .collect();
    sequences.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(sequences)
}

fn query() -> String {
    let relations = relations("'S'");
    format!(
        "select c.oid::int8 as oid, n.nspname as schema, c.relname as name,
           pg_catalog.format_type(s.seqtypid, null) as type_name,
           case when t.oid is not null then pg_catalog.json_build_array(
             pg_catalog.json_build_object('schema', tn.nspname, 'name', t.relname), a.attname)
             end as owned_by,
           pg_catalog.has_schema_privilege(n.oid, 'usage')
             and pg_catalog.has_sequence_privilege(c.oid, 'select') as readable
         from pg_catalog.pg_class c
           join pg_catalog.pg_namespace n on n.oid = c.relnamespace
           join pg_catalog.pg_sequence s on s.seqrelid = c.oid
           left join pg_catalog.pg_depend d on d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
             and d.objid = c.oid and d.objsubid = 0 and d.refobjsubid > 0
             and d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
             and d.deptype in ('a', 'i')
           left join pg_catalog.pg_class t on t.oid = d.refobjid
           left join pg_catalog.pg_namespace tn on tn.oid = t.relnamespace
           left join pg_catalog.pg_attribute a on a.attrelid = t.oid and a.attnum = d.refobjsubid
         where c.oid in ({relations})"
    )
}
