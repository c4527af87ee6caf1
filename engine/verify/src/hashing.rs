//! How a row becomes a 64-bit number that is the same on both servers if the row is.
//!
//! What counts as equal, by type:
//! - `numeric`: by value, so `1.0` and `1.000` are equal; the declared scale is compared as part of
//!   the table's definition. The same holds for numbers inside `jsonb`.
//! - `float4`, `float8`: `-0` equals `0`, and every NaN equals every other. The text forms below 14
//!   tell `-0` from `0`.
//! - `char(n)`: trailing blanks do not count.
//! - Text under a nondeterministic collation: byte by byte.
//! - Types without a 64-bit hash, or with one that depends on OIDs (enums, `regclass`): by their
//!   text under the pinned session settings.

use std::collections::{BTreeMap, BTreeSet};

use pgkedge_model::{Column, ServerVersion, TypeFacts, TypeKind, VerifyMethod};

/// Built-in types whose 64-bit hash depends on the value alone, each with a value for the canary.
pub(crate) const SAFE_TYPES: &[(&str, &str)] = &[
    ("bool", "t"),
    ("bpchar", "blank "),
    ("bytea", "\\x00ff10"),
    ("char", "c"),
    ("cid", "7"),
    ("cidr", "10.1.0.0/16"),
    ("date", "2026-02-28"),
    ("datemultirange", "{[2026-01-01,2026-02-01)}"),
    ("daterange", "[2026-01-01,2026-02-01)"),
    ("float4", "-1.5"),
    ("float8", "2.718281828459045"),
    ("inet", "fe80::1/64"),
    ("int2", "-32768"),
    ("int4", "2147483647"),
    ("int4multirange", "{[1,5),[8,9)}"),
    ("int4range", "[1,5)"),
    ("int8", "-9223372036854775808"),
    ("int8multirange", "{[1,5),[8,9)}"),
    ("int8range", "[1,5)"),
    ("interval", "1 year 2 days 03:04:05.000006"),
    ("jsonb", "{\"a\": [1, 2.50, null, \"x\"], \"b\": true}"),
    ("macaddr", "08:00:2b:01:02:03"),
    ("macaddr8", "08:00:2b:01:02:03:04:05"),
    ("name", "relname"),
    ("numeric", "-12345678901234567890.0987654321"),
    ("nummultirange", "{[1.5,2.5)}"),
    ("numrange", "[1.5,2.5)"),
    ("oid", "4294967295"),
    ("pg_lsn", "16/B374D848"),
    ("text", "the quick brown fox jumps over the lazy dog"),
    ("tid", "(7,3)"),
    ("time", "23:59:59.999999"),
    ("timestamp", "1999-12-31 23:59:59.5"),
    ("timestamptz", "2026-06-01 12:00:00.25+03:30"),
    ("timetz", "12:30:00-07"),
    ("tsmultirange", "{[2026-01-01,2026-02-01)}"),
    ("tsrange", "[2026-01-01,2026-02-01)"),
    ("tstzmultirange", "{[2026-01-01,2026-02-01)}"),
    ("tstzrange", "[2026-01-01,2026-02-01)"),
    ("uuid", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
    ("varchar", "the lazy dog"),
    ("xid", "3"),
    ("xid8", "3"),
];

/// Types whose bytes are those of the database's encoding.
const ENCODED_TYPES: &[&str] = &["bpchar", "char", "jsonb", "name", "text", "varchar"];

/// The function that makes a number of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowHash {
    /// `hash_record_extended` over the values: both sides 14 or later.
    Record,
    /// `hashtextextended` over the row's text: both sides 11 or later, with one encoding.
    Text,
    /// `sha256` over the row's text in UTF-8: both sides 11 or later.
    Sha256,
    /// `md5` over the row's text in UTF-8.
    Md5,
}

/// What both sides of a comparison have to agree on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DigestPlan {
    /// Different in every run, so that two rows never collide twice by design.
    pub seed: i64,
    pub method: VerifyMethod,
    pub row_hash: RowHash,
    /// Text is brought to UTF-8 before it is hashed.
    pub encodings_differ: bool,
    /// One side writes floats in the shortest form (12 and later), the other does not.
    pub floats_print_differently: bool,
    /// Types that the canary found to hash differently: compared by their text.
    pub unlike_types: BTreeSet<u32>,
}

impl DigestPlan {
    /// The fastest way that both versions have.
    pub fn new(
        seed: i64,
        method: VerifyMethod,
        versions: [ServerVersion; 2],
        encodings: [&str; 2],
    ) -> Self {
        let majors = versions.map(ServerVersion::major);
        let oldest = majors[0].min(majors[1]);
        let encodings_differ = encodings[0] != encodings[1];
        let row_hash = match oldest {
            14.. => RowHash::Record,
            11..14 if !encodings_differ => RowHash::Text,
            11..14 => RowHash::Sha256,
            _ => RowHash::Md5,
        };
        Self {
            seed,
            method,
            row_hash,
            encodings_differ,
            floats_print_differently: (majors[0] < 12) != (majors[1] < 12),
            unlike_types: BTreeSet::new(),
        }
    }

    /// The number of one row, as a SQL expression over the values of the row.
    pub(crate) fn row_number(&self, values: &[String]) -> String {
        let row = format!("row({})", values.join(", "));
        let seed = self.seed;
        match self.row_hash {
            RowHash::Record => format!("pg_catalog.hash_record_extended({row}, {seed})"),
            RowHash::Text => {
                format!("pg_catalog.hashtextextended({row}::pg_catalog.text, {seed})")
            }
            RowHash::Sha256 => first_64_bits(&format!(
                "pg_catalog.encode(pg_catalog.sha256({}), 'hex')",
                self.row_bytes(&row)
            )),
            RowHash::Md5 => first_64_bits(&format!("pg_catalog.md5({})", self.row_bytes(&row))),
        }
    }

    fn row_bytes(&self, row: &str) -> String {
        let seed = self.seed;
        format!("pg_catalog.convert_to('{seed} ' || {row}::pg_catalog.text, 'UTF8')")
    }

    /// A column's value, in the form in which it is the same on both sides.
    pub(crate) fn value(&self, column: &Column, types: &BTreeMap<u32, TypeFacts>) -> String {
        let name = &column.name;
        let base = base_type(column.type_oid, types);
        match self.row_hash {
            RowHash::Record => self.hashed_value(column, base),
            RowHash::Text | RowHash::Sha256 | RowHash::Md5 => self.printed_value(column, base),
        }
        .unwrap_or_else(|| name.to_string())
    }

    /// For the hash of the values: none where the column can stand as it is.
    fn hashed_value(&self, column: &Column, base: Base<'_>) -> Option<String> {
        let name = &column.name;
        let bytewise = if column.nondeterministic { " collate \"C\"" } else { "" };
        let safe = base.facts.is_some_and(|facts| {
            is_safe(facts, base.types) && !self.unlike_types.contains(&facts.oid)
        });
        let encoded = base.facts.is_none_or(|facts| !safe || is_encoded(facts, base.types));
        if self.encodings_differ && encoded {
            return Some(format!(
                "pg_catalog.convert_to({name}::pg_catalog.text{bytewise}, 'UTF8')"
            ));
        }
        if !safe {
            return Some(format!("{name}::pg_catalog.text{bytewise}"));
        }
        column.nondeterministic.then(|| format!("{name}{bytewise}"))
    }

    /// For the hash of the row's text: none where the column's own text will do.
    fn printed_value(&self, column: &Column, base: Base<'_>) -> Option<String> {
        let name = &column.name;
        let facts = base.facts.filter(|facts| facts.builtin)?;
        match facts.name.name.as_str() {
            // Bytes, since 12 prints another text; every NaN as one.
            float @ ("float4" | "float8") => Some(format!(
                "case when {name} = 'NaN'::pg_catalog.{float} then 'NaN' \
                 else pg_catalog.{float}send({name})::pg_catalog.text end"
            )),
            "_float4" | "_float8" if self.floats_print_differently => {
                Some(format!("pg_catalog.array_send({name})::pg_catalog.text"))
            }
            _ => None,
        }
    }
}

fn first_64_bits(hex: &str) -> String {
    format!("('x' || pg_catalog.substr({hex}, 1, 16))::pg_catalog.bit(64)::pg_catalog.int8")
}

/// A type without the domains around it.
#[derive(Clone, Copy)]
struct Base<'a> {
    facts: Option<&'a TypeFacts>,
    types: &'a BTreeMap<u32, TypeFacts>,
}

fn base_type(mut oid: u32, types: &BTreeMap<u32, TypeFacts>) -> Base<'_> {
    let mut facts = types.get(&oid);
    // Each step goes one domain down; there are never more of them than types.
    for _ in 0..types.len() {
        let Some(TypeKind::Domain { base }) = facts.map(|facts| &facts.kind) else { break };
        oid = *base;
        facts = types.get(&oid);
    }
    Base { facts, types }
}

/// The type that decides how a column is hashed, if its values may be hashed as they are.
pub(crate) fn safe_type(oid: u32, types: &BTreeMap<u32, TypeFacts>) -> Option<&TypeFacts> {
    base_type(oid, types).facts.filter(|facts| is_safe(facts, types))
}

/// A value for the canary, as SQL.
pub(crate) fn canary_value(facts: &TypeFacts, types: &BTreeMap<u32, TypeFacts>) -> Option<String> {
    if let TypeKind::Array { element } = &facts.kind {
        let element = canary_value(types.get(element)?, types)?;
        return Some(format!("array[{element}, null]"));
    }
    let (name, literal) = SAFE_TYPES.iter().find(|(name, _)| *name == facts.name.name.as_str())?;
    let literal = pgkedge_model::quote_literal(literal);
    Some(format!("{literal}::pg_catalog.\"{name}\""))
}

fn is_safe(facts: &TypeFacts, types: &BTreeMap<u32, TypeFacts>) -> bool {
    let listed = || SAFE_TYPES.iter().any(|(name, _)| *name == facts.name.name.as_str());
    let kind_is_safe = match &facts.kind {
        TypeKind::Base | TypeKind::Range { .. } | TypeKind::Multirange { .. } => listed(),
        TypeKind::Array { element } => types.get(element).is_some_and(|element| {
            !matches!(element.kind, TypeKind::Array { .. }) && is_safe(element, types)
        }),
        TypeKind::Domain { .. }
        | TypeKind::Composite { .. }
        | TypeKind::Enum
        | TypeKind::Pseudo => false,
    };
    facts.builtin && facts.hashes && kind_is_safe
}

fn is_encoded(facts: &TypeFacts, types: &BTreeMap<u32, TypeFacts>) -> bool {
    match &facts.kind {
        TypeKind::Array { element } => {
            types.get(element).is_none_or(|element| is_encoded(element, types))
        }
        TypeKind::Base
        | TypeKind::Domain { .. }
        | TypeKind::Composite { .. }
        | TypeKind::Enum
        | TypeKind::Range { .. }
        | TypeKind::Multirange { .. }
        | TypeKind::Pseudo => ENCODED_TYPES.contains(&facts.name.name.as_str()),
    }
}
