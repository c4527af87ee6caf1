//! Where partitions hang, and whether their rows could belong elsewhere on another server.

use std::collections::BTreeMap;

use pgkedge_model::{Failure, Ident, PartitionFacts, QualifiedName, Table, TypeFacts, TypeKind};
use serde::Deserialize;

use super::rows::Reader;

/// Built-in types whose values are OIDs, and so hash differently where the OIDs differ.
const OID_ALIASES: &[&str] = &[
    "regclass",
    "regcollation",
    "regconfig",
    "regdictionary",
    "regnamespace",
    "regoper",
    "regoperator",
    "regproc",
    "regprocedure",
    "regrole",
    "regtype",
];

/// A partitioned table or a partition.
#[derive(Deserialize)]
pub(crate) struct Relation {
    oid: u32,
    schema: Ident,
    name: Ident,
    parent: Option<u32>,
    /// It spreads its rows by hash.
    hashed: bool,
    /// A key is an expression, or hashes by what is not the same on every server.
    uncertain: bool,
    /// Types of the key's columns.
    key_types: Vec<u32>,
}

/// Every partitioned table and partition, whoever owns it.
pub(crate) async fn read(reader: &Reader<'_>) -> Result<Vec<Relation>, Failure> {
    reader.rows("the partitions", &query(reader)).await
}

fn query(reader: &Reader<'_>) -> String {
    let nondeterministic = reader.since(
        12,
        "exists (select from pg_catalog.pg_collation l \
           where l.oid = any (p.partcollation::oid[]) and not l.collisdeterministic)",
        "false",
    );
    format!(
        "select c.oid::int8 as oid, n.nspname as schema, c.relname as name,
           case when c.relispartition then (select i.inhparent::int8 from pg_catalog.pg_inherits i
             where i.inhrelid = c.oid order by i.inhseqno limit 1) end as parent,
           coalesce(p.partstrat = 'h', false) as hashed,
           coalesce(0 = any (p.partattrs::int2[]) or {nondeterministic}
             or exists (select from pg_catalog.unnest(p.partclass::oid[]) o (oid)
               where o.oid >= 16384), false) as uncertain,
           coalesce((select pg_catalog.json_agg(a.atttypid::int8 order by a.attnum)
             from pg_catalog.pg_attribute a
             where a.attrelid = c.oid and a.attnum = any (p.partattrs::int2[])), '[]') as key_types
         from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
           left join pg_catalog.pg_partitioned_table p on p.partrelid = c.oid
         where c.relispartition and c.relkind in ('r', 'p', 'f') or c.relkind = 'p'"
    )
}

/// Tells every table that is a partition where it hangs.
pub(crate) fn hang(
    tables: &mut [Table],
    relations: Vec<Relation>,
    types: &BTreeMap<u32, TypeFacts>,
) {
    let relations: BTreeMap<u32, Relation> =
        relations.into_iter().map(|relation| (relation.oid, relation)).collect();
    for table in tables {
        table.partition = place(table.oid, &relations, types);
    }
}

fn place(
    oid: u32,
    relations: &BTreeMap<u32, Relation>,
    types: &BTreeMap<u32, TypeFacts>,
) -> Option<PartitionFacts> {
    let above = |relation: &Relation| relations.get(&relation.parent?);
    let parent = above(relations.get(&oid)?)?;
    let ancestors = || std::iter::successors(Some(parent), |relation| above(relation));
    Some(PartitionFacts {
        parent: parent.qualified(),
        root: ancestors().last()?.qualified(),
        through_root: ancestors().any(|ancestor| ancestor.may_hash_differently(types)),
    })
}

impl Relation {
    fn qualified(&self) -> QualifiedName {
        QualifiedName::new(self.schema.clone(), self.name.clone())
    }

    fn may_hash_differently(&self, types: &BTreeMap<u32, TypeFacts>) -> bool {
        let by_oid = || self.key_types.iter().any(|oid| hashes_by_oid(*oid, types));
        self.hashed && (self.uncertain || by_oid())
    }
}

/// Whether the hash of a type's values is made from OIDs. A type that is not known may be.
fn hashes_by_oid(oid: u32, types: &BTreeMap<u32, TypeFacts>) -> bool {
    let Some(facts) = types.get(&oid) else { return true };
    match &facts.kind {
        TypeKind::Enum => true,
        TypeKind::Array { element: part }
        | TypeKind::Domain { base: part }
        | TypeKind::Range { subtype: part }
        | TypeKind::Multirange { range: part } => hashes_by_oid(*part, types),
        TypeKind::Composite { fields } => fields.iter().any(|field| hashes_by_oid(*field, types)),
        TypeKind::Base => facts.builtin && OID_ALIASES.contains(&facts.name.name.as_str()),
        TypeKind::Pseudo => false,
    }
}
