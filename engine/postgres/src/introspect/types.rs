//! Types that columns use, and those they are made of.

use std::collections::BTreeMap;

use pgkedge_model::{Failure, Ident, QualifiedName, ServerVersion, TypeFacts, TypeKind};
use serde::Deserialize;

use super::rows::{Reader, relations};
use super::tables::KINDS;

/// OIDs below this one are written down in PostgreSQL's source; higher ones come from `initdb`.
const FIRST_ASSIGNED: u32 = 10_000;

#[derive(Deserialize)]
struct TypeRow {
    oid: u32,
    schema: Ident,
    name: Ident,
    kind: String,
    element: Option<u32>,
    base: u32,
    fields: Vec<u32>,
    subtype: Option<u32>,
    multirange_of: Option<u32>,
    hashes: bool,
}

/// The types by OID.
pub(crate) async fn read(reader: &Reader<'_>) -> Result<BTreeMap<u32, TypeFacts>, Failure> {
    let rows: Vec<TypeRow> = reader.rows("the types", &query(reader)).await?;
    let own: BTreeMap<u32, bool> = rows.iter().map(|row| (row.oid, row.hashes)).collect();
    let mut types: BTreeMap<u32, TypeFacts> =
        rows.into_iter().map(|row| (row.oid, facts(row))).collect();
    let hashes: BTreeMap<u32, bool> =
        types.keys().map(|oid| (*oid, hashes(*oid, &types, &own, reader.version))).collect();
    for (oid, facts) in &mut types {
        facts.hashes = hashes[oid];
    }
    Ok(types)
}

fn facts(row: TypeRow) -> TypeFacts {
    let kind = match (row.kind.as_str(), row.element) {
        (_, Some(element)) => TypeKind::Array { element },
        ("d", _) => TypeKind::Domain { base: row.base },
        ("c", _) => TypeKind::Composite { fields: row.fields },
        ("e", _) => TypeKind::Enum,
        ("r", _) => row.subtype.map_or(TypeKind::Pseudo, |subtype| TypeKind::Range { subtype }),
        ("m", _) => {
            row.multirange_of.map_or(TypeKind::Pseudo, |range| TypeKind::Multirange { range })
        }
        ("p", _) => TypeKind::Pseudo,
        _ => TypeKind::Base,
    };
    TypeFacts {
        oid: row.oid,
        name: QualifiedName::new(row.schema, row.name),
        kind,
        builtin: row.oid < FIRST_ASSIGNED,
        hashes: false,
    }
}

/// Whether the default hash function of a type gives 64 bits, found as the server finds it: types
/// that are made of others hash if their parts do.
fn hashes(
    oid: u32,
    types: &BTreeMap<u32, TypeFacts>,
    own: &BTreeMap<u32, bool>,
    version: ServerVersion,
) -> bool {
    let part = |oid: u32| hashes(oid, types, own, version);
    let Some(facts) = types.get(&oid) else { return false };
    match &facts.kind {
        TypeKind::Base | TypeKind::Pseudo => own.get(&oid).copied().unwrap_or(false),
        TypeKind::Enum => version.major() >= 11,
        TypeKind::Array { element } => part(*element),
        TypeKind::Domain { base } => part(*base),
        TypeKind::Range { subtype } => part(*subtype),
        TypeKind::Multirange { range } => part(*range),
        TypeKind::Composite { fields } => {
            version.major() >= 14 && fields.iter().all(|field| part(*field))
        }
    }
}

fn query(reader: &Reader<'_>) -> String {
    let multirange = reader.since(
        14,
        "(select r.rngtypid::int8 from pg_catalog.pg_range r where r.rngmultitypid = t.oid)",
        "null::int8",
    );
    let multirange_part = reader.since(
        14,
        "union all select r.rngtypid from pg_catalog.pg_range r where r.rngmultitypid = t.oid",
        "",
    );
    let relations = relations(KINDS);
    format!(
        "with recursive used (oid) as (
           select distinct a.atttypid from pg_catalog.pg_attribute a
           where a.attrelid in ({relations}) and a.attnum > 0 and not a.attisdropped
           union
           select part.oid from used u join pg_catalog.pg_type t on t.oid = u.oid
             cross join lateral (
               select t.typelem where t.typelem <> 0
               union all select t.typbasetype where t.typbasetype <> 0
               union all select a.atttypid from pg_catalog.pg_attribute a
                 where t.typtype = 'c' and a.attrelid = t.typrelid and a.attnum > 0
                   and not a.attisdropped
               union all select r.rngsubtype from pg_catalog.pg_range r where r.rngtypid = t.oid
               {multirange_part}
             ) part (oid)
         ), hashing as (
           select o.opcintype from pg_catalog.pg_opclass o
             join pg_catalog.pg_am m on m.oid = o.opcmethod and m.amname = 'hash'
             join pg_catalog.pg_amproc p on p.amprocfamily = o.opcfamily
               and p.amproclefttype = o.opcintype and p.amprocrighttype = o.opcintype
               and p.amprocnum = 2
           where o.opcdefault
         )
         select t.oid::int8 as oid, n.nspname as schema, t.typname as name, t.typtype as kind,
           (select e.oid::int8 from pg_catalog.pg_type e
             where e.oid = t.typelem and e.typarray = t.oid) as element,
           t.typbasetype::int8 as base,
           coalesce((select pg_catalog.json_agg(a.atttypid::int8 order by a.attnum)
             from pg_catalog.pg_attribute a where t.typtype = 'c' and a.attrelid = t.typrelid
               and a.attnum > 0 and not a.attisdropped), '[]') as fields,
           (select r.rngsubtype::int8 from pg_catalog.pg_range r where r.rngtypid = t.oid) as subtype,
           {multirange} as multirange_of,
           exists (select from hashing h where h.opcintype = t.oid
             or h.opcintype in (select k.casttarget from pg_catalog.pg_cast k
               where k.castsource = t.oid and k.castmethod = 'b' and k.castcontext = 'i')) as hashes
         from used u join pg_catalog.pg_type t on t.oid = u.oid
           join pg_catalog.pg_namespace n on n.oid = t.typnamespace"
    )
}
