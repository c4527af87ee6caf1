//! Whether the rows of a table can be copied binary.

use std::collections::BTreeMap;

use pgkedge_model::{Column, CopyFormat, Facts, Table, TypeFacts, TypeKind};
use serde::{Deserialize, Serialize};

/// Built-in types whose binary form is the same in every version and on every machine.
///
/// Left out: the `reg` types, whose binary form is an OID; `xml`, which is parsed anew; `money`,
/// whose scale is the locale's; and what has no binary form.
const BINARY_TYPES: &[&str] = &[
    "bit",
    "bool",
    "box",
    "bpchar",
    "bytea",
    "char",
    "cid",
    "cidr",
    "circle",
    "date",
    "datemultirange",
    "daterange",
    "float4",
    "float8",
    "inet",
    "int2",
    "int4",
    "int4multirange",
    "int4range",
    "int8",
    "int8multirange",
    "int8range",
    "interval",
    "json",
    "jsonb",
    "line",
    "lseg",
    "macaddr",
    "macaddr8",
    "name",
    "numeric",
    "nummultirange",
    "numrange",
    "oid",
    "path",
    "pg_lsn",
    "point",
    "polygon",
    "text",
    "tid",
    "time",
    "timestamp",
    "timestamptz",
    "timetz",
    "tsmultirange",
    "tsrange",
    "tstzmultirange",
    "tstzrange",
    "tsvector",
    "uuid",
    "varbit",
    "varchar",
    "xid",
    "xid8",
];

/// How rows travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RowFormat {
    Binary,
    Text,
}

/// The format for a table, and why if it is not the fast one.
pub(crate) fn format(
    table: &Table,
    facts: &Facts,
    wanted: CopyFormat,
) -> (RowFormat, Option<String>) {
    let reason = match wanted {
        CopyFormat::Text => Some("the plan asks for text".to_owned()),
        CopyFormat::Auto => encodings(facts).or_else(|| {
            let columns = copied(table);
            columns.into_iter().find_map(|column| unfit(column, &facts.source.types))
        }),
    };
    match reason {
        Some(reason) => (RowFormat::Text, Some(reason)),
        None => (RowFormat::Binary, None),
    }
}

/// The columns that travel: the server computes the others.
pub(crate) fn copied(table: &Table) -> Vec<&Column> {
    table.columns.iter().filter(|column| !column.generated).collect()
}

/// The columns that travel, as expressions of the source; none where the columns themselves do.
///
/// The output function of `xml` leaves out a declaration that says nothing new, and its binary form
/// adds one. As text it stays what it is.
pub(crate) fn expressions(table: &Table, types: &BTreeMap<u32, TypeFacts>) -> Option<String> {
    let columns = copied(table);
    let text = |column: &Column| as_text(column.type_oid, types);
    columns.iter().any(|column| text(column).is_some()).then(|| {
        let expression = |column: &&Column| {
            let name = &column.name;
            text(column).map_or_else(|| name.to_string(), |text| format!("{name}::{text}"))
        };
        columns.iter().map(expression).collect::<Vec<_>>().join(", ")
    })
}

fn as_text(oid: u32, types: &BTreeMap<u32, TypeFacts>) -> Option<&'static str> {
    let is_xml = |facts: &TypeFacts| facts.builtin && facts.name.name.as_str() == "xml";
    let facts = types.get(&oid)?;
    match &facts.kind {
        TypeKind::Base => is_xml(facts).then_some("pg_catalog.text"),
        TypeKind::Domain { base } if *base != oid => as_text(*base, types),
        TypeKind::Array { element } => {
            types.get(element).is_some_and(is_xml).then_some("pg_catalog.text[]")
        }
        TypeKind::Domain { .. }
        | TypeKind::Composite { .. }
        | TypeKind::Enum
        | TypeKind::Range { .. }
        | TypeKind::Multirange { .. }
        | TypeKind::Pseudo => None,
    }
}

fn encodings(facts: &Facts) -> Option<String> {
    let source = &facts.source.database.encoding;
    let target = &facts.target.as_ref()?.database.encoding;
    (source != target).then(|| format!("the source is in {source}, the target in {target}"))
}

fn unfit(column: &Column, types: &BTreeMap<u32, TypeFacts>) -> Option<String> {
    if is_binary(column.type_oid, types) {
        return None;
    }
    Some(format!("column {} is of type {}", column.name, column.type_name))
}

fn is_binary(oid: u32, types: &BTreeMap<u32, TypeFacts>) -> bool {
    let Some(facts) = types.get(&oid) else { return false };
    match &facts.kind {
        // Sent by label, and by the type below it.
        TypeKind::Enum => true,
        TypeKind::Domain { base } => *base != oid && is_binary(*base, types),
        TypeKind::Base | TypeKind::Range { .. } | TypeKind::Multirange { .. } => is_listed(facts),
        // An array carries the OID of its element's type, and a row those of its fields.
        TypeKind::Array { element } => facts.builtin && types.get(element).is_some_and(is_listed),
        TypeKind::Composite { .. } | TypeKind::Pseudo => false,
    }
}

fn is_listed(facts: &TypeFacts) -> bool {
    facts.builtin && BINARY_TYPES.contains(&facts.name.name.as_str())
}
